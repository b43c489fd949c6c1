package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestRedisIsNotTrusted: a function that cannot trust its Redis ends with an error that says what to look at. Once it
// has the authority, it starts and works.
func TestRedisIsNotTrusted(t *testing.T) {
	for name, file := range map[string]string{"no authority": "/dev/null", "another authority": testbed.TLS(t).CA} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, shared, fault{tls: true})
			b.addPods(1, "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir())
			b.awaitEnded()
			b.awaitLog("certificate signed by unknown authority")
			b.awaitLog("check the host in STORMFOLD_REDIS_URL, and whether SSL_CERT_FILE has the authority")

			b.pods[0].command.Env = append(b.pods[0].command.Env, "SSL_CERT_FILE="+b.tls.CA)
			require.NoError(t, b.pods[0].start())
			b.takesOne()
		})
	}
}

// TestRedisSpeaksTLSAndWeDoNot: also the other way round. The function waits, since the server might come up as it
// should be, and says what to look at.
func TestRedisSpeaksTLSAndWeDoNot(t *testing.T) {
	for name, scheme := range map[string]string{"plain function": "redis", "plain server": "rediss"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, shared, fault{tls: true})
			address := map[string]string{"redis": b.tls.Addr, "rediss": b.redis.Addr}[scheme]
			b.addPods(1, "STORMFOLD_REDIS_URL="+scheme+"://"+address+"/0", "STORMFOLD_REDIS_TIMEOUT=300ms")
			b.awaitLog("STORMFOLD_REDIS_URL says where it is, and by its scheme, redis:// or rediss://, whether it speaks TLS")
			require.NoError(t, b.pods[0].Stop())

			b.pods[0].command.Env = append(b.pods[0].command.Env, "STORMFOLD_REDIS_URL="+b.redisURL())
			require.NoError(t, b.pods[0].start())
			b.takesOne()
		})
	}
}

// takesOne sends one alert to a function that has just started, and finds it in Kubernetes.
func (b *bed) takesOne() {
	b.t.Helper()
	b.awaitReady()
	b.load(time.Millisecond)
	code, text := b.sendOne()
	require.Equal(b.t, 2, code/100, strings.TrimSpace(text))
	v, _ := b.settled(20 * time.Second)
	require.NoError(b.t, v.Err())
}
