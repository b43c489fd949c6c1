package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// parseIncidents reads incidents, and lists of them, from YAML or JSON documents. Anything else is an error, since it
// is probably the wrong file.
func parseIncidents(name string, content []byte) ([]v1alpha1.Incident, error) {
	if name == "-" {
		name = "standard input"
	}
	var out []v1alpha1.Incident
	documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var document json.RawMessage
		err := documents.Decode(&document)
		switch {
		case errors.Is(err, io.EOF) && len(out) == 0:
			return nil, fmt.Errorf("%s: it contains no incidents", name)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%s: it is neither YAML nor JSON: %w", name, err)
		}
		if len(document) == 0 || string(document) == "null" {
			continue
		}
		if out, err = appendIncidents(out, document); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// appendIncidents adds the incidents of one document.
func appendIncidents(out []v1alpha1.Incident, document json.RawMessage) ([]v1alpha1.Incident, error) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, errors.New("it contains something that is not an object")
	}
	if strings.HasSuffix(head.Kind, "List") {
		for n, item := range head.Items {
			var err error
			if out, err = appendIncidents(out, item); err != nil {
				return nil, fmt.Errorf("items[%d]: %w", n, err)
			}
		}
		return out, nil
	}
	if head.Kind != "Incident" {
		return nil, fmt.Errorf("kind: %q is not Incident", head.Kind)
	}
	var i v1alpha1.Incident
	if err := json.Unmarshal(document, &i); err != nil {
		return nil, fmt.Errorf("it is not an Incident: %w", err)
	}
	return append(out, i), nil
}
