package handlers

import (
	"context"
	"errors"
	"fmt"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
)

func TestAnswer(t *testing.T) {
	secret := errors.New("dial redis://user:hunter2@redis:6379: 100% refused")
	invalid := &Invalid{Field: "alerts[0].status", Problem: `"100%d" is neither firing nor resolved`}
	for _, c := range []struct {
		name   string
		err    error
		reason Reason
		code   int
		want   string
	}{
		{"invalid", invalid, ReasonInvalid, 400, `alerts[0].status: "100%d" is neither firing nor resolved`},
		{"wrapped", fmt.Errorf("decoding: %w", invalid), ReasonInvalid, 400,
			`alerts[0].status: "100%d" is neither firing nor resolved`},
		{"too large", tooLarge("data", 5, 4, "bytes"), ReasonTooLarge, 400, `data: 5 bytes where at most 4 are allowed`},
		{"out of memory", &Refusal{ReasonRedisOOM, secret}, ReasonRedisOOM, 503, "redis_oom: Redis is out of memory"},
		{"wrapped refusal", fmt.Errorf("x: %w", &Refusal{ReasonDraining, nil}), ReasonDraining, 503,
			"draining: the function is about to stop"},
		{"an unknown reason", &Refusal{"hunter2", secret}, ReasonInternal, 503,
			"internal: an unexpected error, see the function's log"},
		{"anything", secret, ReasonInternal, 503, "internal: an unexpected error, see the function's log"},
		{"a deadline", context.DeadlineExceeded, ReasonInternal, 503,
			"internal: an unexpected error, see the function's log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.reason, ReasonOf(c.err))
			var result *cehttp.Result
			require.True(t, errors.As(Answer(c.err), &result))
			require.Equal(t, c.code, result.StatusCode)
			require.EqualError(t, result, fmt.Sprintf("%d: %s", c.code, c.want))
		})
	}
	require.NoError(t, Answer(nil))
	require.Equal(t, ReasonOK, ReasonOf(nil))
	require.ErrorIs(t, &Refusal{ReasonRedisOOM, secret}, secret)
	require.EqualError(t, &Refusal{ReasonRedisOOM, errors.New("x")}, "redis_oom: x")
	require.EqualError(t, &Refusal{Reason: ReasonDraining}, "draining")
}

func TestEveryReasonForNowHasASentence(t *testing.T) {
	for _, reason := range Reasons()[3:] {
		require.NotEmpty(t, sentences[reason], reason)
	}
	require.Len(t, sentences, len(Reasons())-3)
}
