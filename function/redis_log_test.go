package function

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// TestRedisClientLogsThroughOurLogger: go-redis says something when its connections are refused.
func TestRedisClientLogsThroughOurLogger(t *testing.T) {
	rdb := testbed.Redis(t)
	core, logs := observer.New(zapcore.InfoLevel)
	f := New()
	f.log, f.Parts = zap.New(core).Sugar(), Parts{Incidents: &projector.Memory{}}
	require.NoError(t, f.Start(t.Context(), map[string]string{
		"STORMFOLD_NAMESPACE": "stormfold", "STORMFOLD_METRICS_ADDRESS": "off", "STORMFOLD_REDIS_URL": rdb.URL,
	}))
	t.Cleanup(func() { require.NoError(t, f.Stop(context.WithoutCancel(t.Context()))) })
	require.NoError(t, rdb.Kill())
	testbed.Eventually(t, time.Minute, "a line of go-redis", func(ctx context.Context) error {
		_, err := f.Handle(ctx, alertEvent(t, "web-1", "firing"))
		require.Error(t, err)
		for _, entry := range logs.All() {
			if strings.HasPrefix(entry.Message, "Redis client: ") {
				return nil
			}
		}
		return errors.New("it is not in our log")
	})
}
