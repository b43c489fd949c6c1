package function

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// Each kind of failure has its reason, and decides whether alerts are passed through.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		err     error
		reason  handlers.Reason
		passing bool
	}{
		{aggregator.ErrOutOfMemory, handlers.ReasonRedisOOM, true},
		{aggregator.ErrTimeout, handlers.ReasonRedisTimeout, true},
		{fmt.Errorf("%w: %w", aggregator.ErrGivenUp, context.Canceled), handlers.ReasonRedisTimeout, false},
		{aggregator.ErrUnavailable, handlers.ReasonRedisUnavailable, true},
		{aggregator.ErrRefused, handlers.ReasonRedisUnavailable, true},
		{aggregator.ErrUntrusted, handlers.ReasonRedisUnavailable, true},
		{aggregator.ErrReplicas, handlers.ReasonRedisReplicas, false},
		{aggregator.ErrScript, handlers.ReasonInternal, false},
		{aggregator.ErrReply, handlers.ReasonInternal, false},
		{errors.New("labels cannot be written as JSON"), handlers.ReasonInternal, false},
	} {
		err := fmt.Errorf("folding: %w", test.err)
		require.Equal(t, test.reason, handlers.ReasonOf(refusal(err, handlers.ReasonInternal)), "%v", err)
		require.Equal(t, test.passing, redisFails(err), "%v", err)
	}
	require.NoError(t, refusal(nil, handlers.ReasonInternal))
}
