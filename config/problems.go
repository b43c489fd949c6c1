package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"knative.dev/pkg/apis"
)

// Problem is one error in a policies file.
type Problem struct {
	// Line is its line, from 1; 0 if there is none, for instance for a missing field.
	Line int
	// Text names the policy and the field, and says what would be right.
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// Problems are those of an error about a policies file, in the order of their lines. Another error has none.
func Problems(err error) []Problem {
	var wrong *invalid
	if !errors.As(err, &wrong) {
		return nil
	}
	return wrong.problems
}

// problemsOf are those of the wrong fields, with lines where the file is known.
func problemsOf(fields *apis.FieldError, file *outline) []Problem {
	var out []Problem
	for _, fe := range fields.WrappedErrors() {
		for _, path := range fe.Paths {
			if path == apis.CurrentField {
				path = ""
			}
			text := fe.Message
			if where := file.where(path); where != "" {
				text = where + ": " + text
			}
			out = append(out, Problem{file.line(path, fe.Details), text})
		}
	}
	slices.SortFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// outline is a YAML file with its lines. A nil outline has none.
type outline struct{ root *yaml.Node }

// outlineOf reads the lines of a file, which is only needed for errors.
func outlineOf(content []byte) *outline {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil || len(document.Content) == 0 {
		return nil
	}
	return &outline{document.Content[0]}
}

// step is a part of a path: a field, or an index of a list.
var step = regexp.MustCompile(`[^.\[\]]+`)

// line is the line of a path, or of an unknown field below it. If the file lacks it, it is the line of the nearest
// field around it.
func (o *outline) line(path, key string) int {
	if o == nil {
		return 0
	}
	at, line := o.root, 0
	for _, name := range append(step.FindAllString(path, -1), step.FindAllString(key, -1)...) {
		var found int
		if at, found = below(at, name); at == nil {
			break
		}
		line = found
	}
	return line
}

// below is the value of a field or item, and its line; nil if it does not exist.
func below(n *yaml.Node, name string) (*yaml.Node, int) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i < len(n.Content) {
			return n.Content[i], n.Content[i].Line
		}
	}
	return nil, 0
}

// inPolicy is a path in a policy or an outage policy: the list, the index, and the field.
var inPolicy = regexp.MustCompile(`^(policies|outages)\[(\d+)\](?:\.(.+))?$`)

// oneOf is what one entry of a list is called.
var oneOf = map[string]string{"policies": "policy ", "outages": "outage policy "}

// where is a path for people: the name of the policy, if it has one, and the field.
func (o *outline) where(path string) string {
	found := inPolicy.FindStringSubmatch(path)
	if o == nil || found == nil || found[3] == "name" {
		return path
	}
	at := o.root
	for _, name := range []string{found[1], found[2], "name"} {
		if at, _ = below(at, name); at == nil {
			return path
		}
	}
	if at.Kind != yaml.ScalarNode || !policyName.MatchString(at.Value) {
		return path
	}
	return strings.TrimSuffix(oneOf[found[1]]+at.Value+": "+found[3], ": ")
}

// policyName matches names that need no quotes.
var policyName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
