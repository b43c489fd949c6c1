package faults

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
)

var networkFaults = []fault{
	{
		name: "Redis 200 ms away", proxy: true,
		during: func(b *bed) {
			b.slow(200 * time.Millisecond)
			b.awaitAnswers(taken, 80)
			b.restore()
		},
	},
	{
		name: "connections to Redis reset", proxy: true,
		during: (*bed).resets,
	},
	{
		name: "connections to Redis half-open", proxy: true, every: 25 * time.Millisecond,
		during: func(b *bed) {
			for range 2 {
				assert.NoError(b.t, b.proxy.HalfOpen())
				b.awaitAnswers(taken, 20)
			}
		},
	},
	{
		name: "Redis 2 s away", proxy: true, long: true, every: 50 * time.Millisecond,
		during: func(b *bed) {
			b.slow(2 * time.Second)
			b.awaitAnswers("503 ", 40)
			b.restore()
		},
	},
	{
		// Each of the two functions has two connections, and so takes some 10 events a second; 66 come.
		name: "pool of two connections, Redis 200 ms away", proxy: true, long: true, options: "pool_size=2",
		during: func(b *bed) {
			b.slow(200 * time.Millisecond)
			b.awaitAnswers("503 ", 10)
			b.awaitAnswers(taken, 20)
			b.restore()
		},
		expect: []string{"503 redis_timeout"},
	},
	{
		name: "connections to Redis by TLS reset", proxy: true, tls: true, long: true,
		during: (*bed).resets,
	},
}

var podFaults = []fault{
	{name: "none", during: func(*bed) {}},
	{name: "functions killed 20 times", every: 50 * time.Millisecond, during: func(b *bed) { b.kill(20) }},
	{name: "functions killed 100 times", every: 250 * time.Millisecond, long: true, during: func(b *bed) { b.kill(100) }},
	{
		name: "functions terminated", every: 40 * time.Millisecond,
		during: func(b *bed) {
			for i := range 6 {
				p := b.pods[i%2]
				assert.NoError(b.t, p.Stop())
				assert.NoError(b.t, p.start())
				b.awaitReady()
			}
		},
	},
	{
		name: "twelve functions start at once", long: true, forgets: true, every: 40 * time.Millisecond,
		during: func(b *bed) {
			// Redis knows nothing: all of them want to import.
			for range 10 {
				b.addPods(1)
			}
			assert.NoError(b.t, b.redis.Client().FlushAll(b.t.Context()).Err())
			var all sync.WaitGroup
			for _, p := range b.pods {
				all.Go(func() {
					assert.NoError(b.t, p.Kill())
					assert.NoError(b.t, p.start())
				})
			}
			all.Wait()
			b.awaitReady()
		},
	},
}

// kill ends functions at random moments, in the middle of their start too, and starts them again at once.
func (b *bed) kill(times int) {
	for range times {
		p := b.pods[rand.IntN(len(b.pods))]
		<-time.After(rand.N(500 * time.Millisecond)) // The random moment.
		assert.NoError(b.t, p.Kill())
		assert.NoError(b.t, p.start())
	}
	b.awaitReady()
}

// slow puts Redis that far away.
func (b *bed) slow(latency time.Duration) { assert.NoError(b.t, b.proxy.Latency(latency)) }

func (b *bed) restore() { assert.NoError(b.t, b.proxy.Restore()) }

// resets breaks the connections to Redis 30 times: on their way there, and on their way back.
func (b *bed) resets() {
	directions := []string{upstream, downstream}
	n := 0
	b.repeatedly(60, 25*time.Millisecond, func() {
		if n%2 == 1 {
			b.restore()
		} else {
			assert.NoError(b.t, b.proxy.Reset(directions[n/2%2]))
		}
		n++
	})
}
