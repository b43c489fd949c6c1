package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/stormfold/stormfold/aggregator"
)

// The results of calls of the API server are a closed set, whatever an admission webhook or a proxy gives for a reason.
func TestKubeResultsAreBounded(t *testing.T) {
	incidents := schema.GroupResource{Group: "stormfold.io", Resource: "incidents"}
	for want, err := range map[string]error{
		"NotFound":        apierrors.NewNotFound(incidents, "x"),
		"Conflict":        fmt.Errorf("writing: %w", apierrors.NewConflict(incidents, "x", errors.New("y"))),
		"TooManyRequests": apierrors.NewTooManyRequests("later", 1),
		"Forbidden":       apierrors.NewForbidden(incidents, "x", errors.New("exceeded quota")),
		"Unreachable":     context.DeadlineExceeded,
	} {
		require.Equal(t, want, kubeResult(err))
	}
	for _, reason := range []metav1.StatusReason{"pod web-0 is not allowed", metav1.StatusReasonUnknown} {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusTeapot, Reason: reason}}
		require.Equal(t, "Other", kubeResult(err))
	}
}

// A transition comes out of Redis: what stands there may be anything.
func TestTransitionTypesAreBounded(t *testing.T) {
	require.Equal(t, "storm", known(aggregator.Stormed, transitionTypes))
	require.Equal(t, "Other", known("hacked", transitionTypes))
}
