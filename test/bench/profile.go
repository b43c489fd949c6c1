package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stormfold/stormfold/test/testbed"
)

// profileTime is how long a load is profiled.
const profileTime = 10 * time.Second

// profile runs the loads of the first two rows on a function with pprof and writes, for each, where the time goes (cpu)
// and what is allocated (allocs), and Redis' own account of its commands.
func (b *bed) profile(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	program := filepath.Join(b.dir, "stormfold-profiled")
	if err := b.buildProfiled(ctx, program); err != nil {
		return err
	}
	for _, one := range []struct {
		name        string
		connections int
		events      load
	}{
		{"events", connections, newStream("F", spread).singles()},
		{"alerts", senders, newStream("F", spread).notifications(batchSize)},
	} {
		if err := b.profileLoad(ctx, program, filepath.Join(dir, one.name), one.connections, one.events); err != nil {
			return err
		}
	}
	return nil
}

// buildProfiled builds cmd/stormfold as it is, with a file laid over it that serves pprof.
func (b *bed) buildProfiled(ctx context.Context, program string) error {
	over, err := filepath.Abs("cmd/stormfold/pprof.go")
	if err != nil {
		return err
	}
	file, err := filepath.Abs("test/bench/testdata/profiled/pprof.go")
	if err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {over: file}})
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o644); err != nil {
		return err
	}
	return build(ctx, program, "./cmd/stormfold", "-overlay="+path)
}

func (b *bed) profileLoad(ctx context.Context, program, prefix string, connections int, events load) (err error) {
	namespace, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	port, err := testbed.FreePort()
	if err != nil {
		return err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	f, err := b.start(ctx, program, append(b.settings(namespace), "BENCH_PPROF_ADDRESS="+addr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Kill()) }()
	if err := b.client.ConfigResetStat(ctx).Err(); err != nil {
		return fmt.Errorf("resetting Redis' statistics: %w", err)
	}
	fetched := make(chan error, 1)
	go func() {
		seconds := strconv.Itoa(int(profileTime.Seconds()))
		fetched <- errors.Join(
			fetch(ctx, "http://"+addr+"/debug/pprof/profile?seconds="+seconds, prefix+".cpu"),
			fetch(ctx, "http://"+addr+"/debug/pprof/allocs", prefix+".allocs"))
	}()
	perSecond, _, err := hammer(ctx, f.target(), connections, plan{warm: time.Second, run: profileTime}, events)
	if err := errors.Join(err, <-fetched); err != nil {
		return err
	}
	stats, err := b.client.Info(ctx, "commandstats", "cpu").Result()
	if err != nil {
		return fmt.Errorf("asking Redis for its statistics: %w", err)
	}
	progress("%s: %s events/s", prefix, number(perSecond))
	return os.WriteFile(prefix+".commandstats", []byte(stats), 0o644)
}

// fetch writes what a URL answers to a file.
func fetch(ctx context.Context, url, path string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}
