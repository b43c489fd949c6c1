package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"sigs.k8s.io/yaml"
)

// explain writes what Redis and Kubernetes hold, for a verdict that is not clean: into a directory that stays.
func (b *bed) explain() {
	b.t.Helper()
	dir, err := os.MkdirTemp("", "stormfold-fault-")
	if err != nil {
		b.t.Log(err)
		return
	}
	items, err := b.list(b.t.Context())
	if err != nil {
		b.t.Log(err)
	}
	raw, err := yaml.Marshal(items)
	if err != nil {
		b.t.Log(err)
	}
	v := Check(b.journal, items)
	files := map[string]string{
		"incidents.yaml": string(raw),
		"problems":       strings.Join(v.Problems, "\n"),
		"redis":          b.dump(),
	}
	for i, p := range b.pods {
		log, err := p.Log()
		if err != nil {
			b.t.Log(err)
		}
		files[fmt.Sprintf("function-%d.log", i)] = log
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			b.t.Log(err)
		}
	}
	b.t.Logf("the contents of Redis and Kubernetes, and the functions' logs: %s", dir)
}

// dump is all of the functions' data in Redis.
func (b *bed) dump() string {
	var mu sync.Mutex
	var out strings.Builder
	read := func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		out.WriteString(b.dumpOf(c))
		return nil
	}
	if b.ring == nil {
		_ = read(b.t.Context(), b.data.(*redis.Client)) // It returns none.
	} else if err := b.ring.Client.ForEachMaster(b.t.Context(), read); err != nil {
		b.t.Log(err)
	}
	return out.String()
}

// dumpOf is what one server has.
func (b *bed) dumpOf(c *redis.Client) string {
	ctx := b.t.Context()
	var out strings.Builder
	keys := c.Scan(ctx, 0, "{sf:*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		var value any
		switch kind := c.Type(ctx, key).Val(); kind {
		case "hash":
			value = c.HGetAll(ctx, key).Val()
		case "zset":
			value = c.ZRangeWithScores(ctx, key, 0, -1).Val()
		default:
			value = c.Get(ctx, key).Val()
		}
		fmt.Fprintf(&out, "%s %q\n", key, value)
	}
	return out.String()
}
