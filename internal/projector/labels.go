package projector

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// objectLabels are the labels of an incident. They never change.
func objectLabels(s *aggregator.Snapshot, fingerprint, alertName, namespace string) map[string]string {
	out := map[string]string{
		v1alpha1.LabelGroup:  s.Group,
		v1alpha1.LabelShard:  aggregator.ShardName(s.Shard),
		v1alpha1.LabelPolicy: labelValue(s.Policy),
	}
	if fingerprint != "" {
		out[v1alpha1.LabelFingerprint] = fingerprint
	}
	if alertName != "" {
		out[v1alpha1.LabelAlertName] = labelValue(alertName)
	}
	if namespace != "" {
		out[v1alpha1.LabelAlertNamespace] = labelValue(namespace)
	}
	return out
}

// labelValue is the value itself if Kubernetes allows it; otherwise its valid part with a hash of the whole value, so
// that different values stay different.
func labelValue(value string) string {
	if len(validation.IsValidLabelValue(value)) == 0 {
		return value
	}
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		default:
			return '_'
		}
	}, value)
	kept = strings.Trim(kept[:min(len(kept), 52)], "-_.")
	sum := sha256.Sum256([]byte(value))
	hash := hex.EncodeToString(sum[:5])
	if kept == "" {
		return hash
	}
	return kept + "-" + hash
}
