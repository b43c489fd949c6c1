package faults

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"

	"github.com/stormfold/stormfold/test/testbed"
)

// patienceFaults last longer than those who deliver go on with one delivery. Two hours without Redis are 24
// notifications of an Alertmanager with a group_interval of 5 minutes; here a notification is given up after 10 s, the
// least that Alertmanager allows, and three of each group are given up one after the other: what is true after three is
// true after 24.
var patienceFaults = []fault{
	func() fault {
		var r *reporting
		return fault{
			name: "Redis away longer than Alertmanager tries, source/direct", long: true, alone: true, redis: always,
			during: func(b *bed) {
				var urls []string
				for _, p := range b.pods {
					urls = append(urls, p.url)
				}
				// The time-outs of deploy/source/direct in short: the function's own is 5 s here.
				r = b.report(
					"K_SINK="+testbed.Balance(b.t, urls...).URL,
					"STORMFOLD_SOURCE_SINK_TIMEOUT=6s",
					"STORMFOLD_SOURCE_REQUEST_TIMEOUT=8s",
				)
				r.beforeOutage()
				assert.NoError(b.t, b.redis.Kill())
				r.inOutage(false)
				r.awaitGivenUp(3 * 14)
				assert.NoError(b.t, b.redis.Start())
			},
			after: func(b *bed) {
				r.awaitToldAll()
				r.awaitClean()
			},
			expect: []string{"503 redis_unavailable"},
		}
	}(),
}

// beforeOutage has alerts fire that are reported.
func (r *reporting) beforeOutage() {
	r.t.Helper()
	r.journal.Truth(true, r.tell(true, append(r.some("Storm", 6, 0, 12), r.some("Single", 4, 0, 2)...)...)...)
	r.awaitClean()
}

// inOutage has alerts fire and end while nothing can be reported. The final state of each is certain, except for those
// that both begin and end here: if neither is reported, they must not be firing. It returns all that has to be
// reported.
func (r *reporting) inOutage(both bool) []Word {
	r.t.Helper()
	// In groups that were reported, and in others.
	staying := append(r.some("Storm", 8, 12, 18), r.some("Single", 6, 2, 3)...)
	passing := append(r.some("Storm", 8, 18, 24), append(r.some("Single", 6, 3, 4), r.some("Passing", 4, 0, 8)...)...)
	all := append(staying, passing...)
	fire := r.tell(true, all...)
	r.journal.Truth(true, fire[:len(staying)]...)
	r.awaitTried(true, all)
	// Of groups that were reported: some, and all.
	ended := append(r.some("Storm", 4, 0, 6), append(r.some("Storm", 1, 6, 12), r.some("Single", 2, 0, 2)...)...)
	over := r.tell(false, append(ended, passing...)...)
	r.journal.Truth(true, over[:len(ended)]...)
	r.journal.Truth(both, over[len(ended):]...)
	return append(fire, over...)
}

// awaitGivenUp waits until Alertmanager has given up that many notifications.
func (r *reporting) awaitGivenUp(n float64) {
	r.t.Helper()
	r.await(time.Minute, func() error {
		failed, err := r.metric("alertmanager_notifications_failed_total")
		if err == nil && failed < n {
			err = fmt.Errorf("%g of %g notifications were given up", failed, n)
		}
		return err
	})
}

// metric sums one of Alertmanager's metrics.
func (r *reporting) metric(name string) (float64, error) {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.alertmanager.URL+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return 0, err
	}
	if families[name] == nil {
		return 0, errors.New("Alertmanager has no metric " + name)
	}
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum, nil
}
