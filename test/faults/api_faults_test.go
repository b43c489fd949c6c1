package faults

import (
	"fmt"
	"net/http"
	"time"

	"github.com/stretchr/testify/assert"
)

// apiFaults are answers of an API server that a real one gives only when it is in trouble itself: a proxy gives them to
// the functions, and to nobody else.
var apiFaults = []fault{
	{
		name: "API server answers 500", api: true,
		during: func(b *bed) { b.trouble(Trouble{Code: http.StatusInternalServerError}) },
	},
	{
		name: "API server answers 503", api: true, long: true,
		during: func(b *bed) { b.trouble(Trouble{Code: http.StatusServiceUnavailable}) },
	},
	{
		name: "API server answers 429 with Retry-After", api: true,
		during: func(b *bed) {
			b.trouble(Trouble{Code: http.StatusTooManyRequests, RetryAfter: time.Second})
		},
	},
	{
		name: "API server answers 503 with Retry-After beyond the time-out", api: true, long: true,
		during: func(b *bed) {
			b.trouble(Trouble{Code: http.StatusServiceUnavailable, RetryAfter: time.Minute})
		},
	},
	{
		name: "API server writes and answers 504", api: true, long: true,
		during: func(b *bed) { b.trouble(Trouble{Code: http.StatusGatewayTimeout, Done: true}) },
	},
	{
		name: "functions killed, API server answers 500 at their start", api: true, long: true, every: 40 * time.Millisecond,
		during: func(b *bed) {
			b.api.Fail(Trouble{Code: http.StatusInternalServerError})
			b.kill(4)
			b.awaitAnswers(taken, 20)
			b.api.Fail(Trouble{})
		},
	},
	{
		// The Role has no verb watch. Here nobody even asks, at the start, at the import, or while writing.
		name: "no permission to watch", api: true,
		during: func(b *bed) {
			b.kill(4)
			b.awaitAnswers(taken, 20)
		},
		after: func(b *bed) {
			assert.Zero(b.t, b.api.Watches(), "requests of the functions to watch something")
			assert.Zero(b.t, b.cluster.IncidentRequests(b.t).Verbs("WATCH"), "watches that the API server counted")
		},
	},
}

// trouble lets the API server fail all requests until enough were failed and enough events were still accepted.
func (b *bed) trouble(t Trouble) {
	b.t.Helper()
	b.api.Fail(t)
	b.awaitAnswers(taken, 60)
	b.await(20*time.Second, func() error {
		if n := b.api.Hits(); n < 20 {
			return fmt.Errorf("%d requests were answered %d", n, t.Code)
		}
		return nil
	})
	b.api.Fail(Trouble{})
}
