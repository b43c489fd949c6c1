package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// writerFaults are other writers of the same objects.
var writerFaults = []fault{
	{
		name: "conflicts with a second writer", api: true,
		during: func(b *bed) {
			w := b.secondWriter()
			b.awaitAnswers(taken, 80)
			w.awaitWrites(60)
			w.stop()
			b.everyStorm(1) // What was edited is overwritten by the next change.
		},
		after: conflicted,
	},
	{
		name: "conflicts with a second writer, functions killed", api: true, long: true, every: 40 * time.Millisecond,
		during: func(b *bed) {
			w := b.secondWriter()
			b.kill(6)
			w.awaitWrites(200)
			w.stop()
			b.everyStorm(1)
		},
		after: conflicted,
	},
}

// conflicted checks that the functions did meet conflicts.
func conflicted(b *bed) {
	assert.NotZero(b.t, b.api.Answered(http.StatusConflict), "conflicts of the functions")
}

// writer edits the incidents of a bed as fast as it can.
type writer struct {
	*bed
	done   context.CancelFunc
	all    sync.WaitGroup
	writes atomic.Int64
}

// secondWriter starts one: it edits labels and annotations of all objects, and the status of storms, with the revision
// kept, with one that is older, and with one from the future.
func (b *bed) secondWriter() *writer {
	b.t.Helper()
	ctx, done := context.WithCancel(b.t.Context())
	w := &writer{bed: b, done: done}
	for range 2 {
		w.all.Go(func() {
			for ctx.Err() == nil {
				items, err := b.list(ctx)
				if err != nil {
					continue // The end.
				}
				for i := range items {
					w.edit(ctx, &items[i])
				}
			}
		})
	}
	return w
}

func (w *writer) edit(ctx context.Context, in *v1alpha1.Incident) {
	patch := fmt.Appendf(
		nil,
		`{"metadata":{"labels":{"team":"t%d"},"annotations":{"note":"n%d"}}}`,
		rand.IntN(1000),
		rand.IntN(1000),
	)
	raw, err := w.cluster.Client.Discovery().RESTClient().Patch(types.MergePatchType).
		AbsPath("/apis/stormfold.io/v1alpha1/namespaces", in.Namespace, "incidents", in.Name).Body(patch).DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(raw, in)
	}
	if err == nil && in.Status.Type == v1alpha1.TypeStorm {
		in.Status.Alerts.Total += 100
		in.Status.Severity, in.Status.Truncated, in.Status.Resources = "edited", false, nil
		in.Status.ObservedRevision += []int64{0, -1, 5}[rand.IntN(3)]
		_, err = w.incidents.UpdateStatus(ctx, in)
	}
	switch {
	case err == nil:
		w.writes.Add(1)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), ctx.Err() != nil:
	default:
		assert.NoError(w.t, err)
	}
}

// awaitWrites waits for so many edits.
func (w *writer) awaitWrites(n int64) {
	w.t.Helper()
	w.await(30*time.Second, func() error {
		if done := w.writes.Load(); done < n {
			return fmt.Errorf("%d of %d edits were made", done, n)
		}
		return nil
	})
}

// stop ends it.
func (w *writer) stop() {
	w.done()
	w.all.Wait()
	w.t.Logf("%d edits by the second writer", w.writes.Load())
}

// everyStorm lets one more alert of every storm's group fire; rounds tell several calls apart.
func (b *bed) everyStorm(round int) {
	for g := range b.sender.Storms {
		header, body, answered := b.sender.prepare(
			[]planned{{subject: b.sender.subject(fmt.Sprintf("Storm%d", g), 1000+round), firing: true}},
		)
		b.sender.deliver(b.t.Context(), header, body, answered)
	}
}
