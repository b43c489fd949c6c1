package faults

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRedisRefusesUs: a function that Redis does not let in ends with an error that says so and what to look at,
// without the password. Once it is let in, it starts and works.
func TestRedisRefusesUs(t *testing.T) {
	const password = "correct-horse-battery"
	cases := []struct {
		name, user string
		// before and after are ACL rules of the user; before of nil is a server that does not know the user.
		before, after []any
		says          string
	}{
		{"wrong password", "stormfold", []any{"resetpass", ">another"}, []any{">" + password}, "WRONGPASS"},
		{"no such user", "somebody", nil, []any{"on", ">" + password, "~*", "+@all"}, "WRONGPASS"},
		{"user switched off", "stormfold", []any{"off", ">" + password, "~*", "+@all"}, []any{"on"}, "WRONGPASS"},
		{
			"no permission for scripts",
			"stormfold",
			[]any{"on", ">" + password, "~*", "+@all", "-@scripting"},
			[]any{"+@all"},
			"NOPERM",
		},
		{"no permission for anything", "stormfold", []any{"on", ">" + password, "-@all"}, []any{"~*", "+@all"}, "NOPERM"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, shared, fault{})
			acl := func(rules []any) {
				t.Helper()
				if rules != nil {
					require.NoError(t, b.redis.Client().Do(t.Context(), append([]any{"ACL", "SETUSER", c.user}, rules...)...).Err())
				}
			}
			require.NoError(t, b.redis.Client().Ping(t.Context()).Err()) // Connections that are there stay.
			acl(c.before)
			address := url.URL{Scheme: "redis", User: url.UserPassword(c.user, password), Host: b.redis.Addr, Path: "/0"}
			b.addPods(1, "STORMFOLD_REDIS_URL="+address.String())
			b.awaitEnded()
			b.awaitLog(c.says)
			b.awaitLog("check user, password and ACL in STORMFOLD_REDIS_URL")

			acl(c.after)
			require.NoError(t, b.pods[0].start())
			b.awaitReady()
			b.load(time.Millisecond)
			code, text := b.sendOne()
			require.Equal(t, 2, code/100, text)
			v, _ := b.settled(20 * time.Second)
			require.NoError(t, v.Err())
			log, err := b.pods[0].Log()
			require.NoError(t, err)
			require.NotContains(t, log, password)
		})
	}
}

// TestNoRedis: a function whose Redis is not there yet waits for it.
func TestNoRedis(t *testing.T) {
	t.Parallel()
	b := newBed(t, shared, fault{})
	require.NoError(t, b.redis.Kill())
	b.addPods(1)
	b.awaitLog("waiting for Redis")
	b.awaitAlive()
	b.load(time.Millisecond)
	code, text := b.sendOne()
	require.Equal(t, "503 not_ready", fmt.Sprint(code, " ", strings.Split(text, ":")[0]))
	require.NoError(t, b.redis.Start())
	b.awaitReady()
	code, text = b.sendOne()
	require.Equal(t, 2, code/100, text)
	v, _ := b.settled(20 * time.Second)
	require.NoError(t, v.Err())
}

// sendOne sends one alert once.
func (b *bed) sendOne() (int, string) {
	header, body, answered := b.sender.prepare([]planned{{subject: b.sender.subject("Lone", 0), firing: true}})
	code, text := b.sender.post(b.t.Context(), b.pods[0].url, header, body)
	answered(code, text)
	return code, text
}

// awaitEnded waits until the only function has ended, with an error.
func (b *bed) awaitEnded() {
	b.t.Helper()
	select {
	case <-b.pods[0].Done():
		require.Error(b.t, b.pods[0].Wait())
	case <-time.After(30 * time.Second):
		b.t.Fatal("the function goes on")
	}
}

// awaitAlive waits until the functions answer anything.
func (b *bed) awaitAlive() {
	b.t.Helper()
	for _, p := range b.pods {
		b.await(30*time.Second, func() error { return p.health(b.t.Context(), "liveness") })
	}
}
