package faults

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
)

// crowd is how many functions a large installation may start at once.
const crowd = 50

// crowdFaults are many functions at once. They are built without the race detector, to fit in memory.
var crowdFaults = []fault{
	{
		name: "50 functions start at once", long: true, pods: crowd, every: 60 * time.Millisecond, build: plain,
		during: func(b *bed) { b.all(func(p *pod) { assert.NoError(b.t, p.Kill()); assert.NoError(b.t, p.start()) }) },
	},
	{
		name: "50 functions start at once, Redis emptied", long: true, forgets: true, pods: crowd,
		every: 60 * time.Millisecond, build: plain,
		during: func(b *bed) {
			b.all(func(p *pod) { assert.NoError(b.t, p.Kill()) })
			assert.NoError(b.t, b.redis.Client().FlushAll(b.t.Context()).Err())
			b.all(func(p *pod) { assert.NoError(b.t, p.start()) })
			b.awaitReady()
		},
	},
}

// all does something with all functions at once.
func (b *bed) all(do func(*pod)) {
	var all sync.WaitGroup
	for _, p := range b.pods {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

// plain is the function without the race detector.
var plain = sync.OnceValues(
	func() (string, error) { return build(filepath.Join(filepath.Dir(program), "stormfold-plain")) },
)

// build builds the function with further arguments of go build.
func build(to string, args ...string) (string, error) { return buildCommand("stormfold", to, args...) }

// buildCommand builds a command of cmd with further arguments of go build.
func buildCommand(name, to string, args ...string) (string, error) {
	command := exec.Command("go", append(append([]string{"build"}, args...), "-o", to, "./cmd/"+name)...)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building cmd/%s: %w\n%s", name, err, out)
	}
	return to, nil
}
