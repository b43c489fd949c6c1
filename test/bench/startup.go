package main

import (
	"context"
	"errors"
	"os"
	"time"
)

// startup measures the time from starting a process to its first answer: of the function, on a Redis that knows it, as
// when it comes back from zero, and of the one that does nothing.
func (b *bed) startup(ctx context.Context, p plan) (outcome, error) {
	out := outcome{row: rowOf("start")}
	namespace, err := b.fresh(ctx)
	if err != nil {
		return out, err
	}
	events := newStream("Start", 1).singles()
	if _, err := b.firstAnswer(ctx, b.stormfold, b.settings(namespace), events); err != nil {
		return out, err
	}
	for range p.starts {
		idle, err := b.firstAnswer(ctx, b.noop, nil, events)
		if err != nil {
			return out, err
		}
		mine, err := b.firstAnswer(ctx, b.stormfold, b.settings(namespace), events)
		if err != nil {
			return out, err
		}
		out.Rounds = append(out.Rounds, sample{mine, idle})
	}
	progress("start: %s ms, no-op %s ms", number(out.measured()), number(out.reference()))
	return out, nil
}

// firstAnswer starts a program and sends it an event again and again, until one is answered 2xx; in ms.
func (b *bed) firstAnswer(ctx context.Context, path string, env []string, events load) (ms float64, err error) {
	begin := time.Now()
	f, err := b.spawn(path, env)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	for {
		failed := f.once(events)
		if failed == nil {
			return time.Since(begin).Seconds() * 1000, nil
		}
		if time.Since(begin) > timeout || ctx.Err() != nil {
			return 0, failed
		}
		time.Sleep(time.Millisecond)
	}
}

// once sends one event on a connection of its own.
func (p *process) once(events load) error {
	c, err := dial(p.addr, "/", "once")
	if err != nil {
		return err
	}
	return errors.Join(c.send(events, 0), c.close())
}

// idleMemory measures a function that has answered one event and has nothing more to do.
func (b *bed) idleMemory(ctx context.Context, p plan) (out outcome, err error) {
	out = outcome{row: rowOf("memory-idle")}
	fs, err := b.functions(ctx, 1)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, fs.kill()) }()
	if err := fs[0].once(newStream("Idle", 1).singles()); err != nil {
		return out, err
	}
	if err := b.awaitNothingDue(ctx); err != nil {
		return out, err
	}
	for range p.rounds {
		rss, err := statusOf(fs[0].Pid(), "VmRSS")
		if err != nil {
			return out, err
		}
		out.Rounds = append(out.Rounds, sample{Measured: rss})
		time.Sleep(time.Second)
	}
	progress("idle memory: %s MiB", number(out.measured()))
	return out, nil
}

// binarySize measures the program as it goes into an image.
func (b *bed) binarySize() (outcome, error) {
	out := outcome{row: rowOf("binary")}
	info, err := os.Stat(b.stormfold)
	if err != nil {
		return out, err
	}
	out.Rounds = []sample{{Measured: float64(info.Size()) / (1 << 20)}}
	return out, nil
}
