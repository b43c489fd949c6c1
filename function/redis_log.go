package function

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// redisLog is the logger of go-redis: its messages about lost connections and Sentinels become lines of our log.
type redisLog struct{ *zap.SugaredLogger }

// Printf is called by go-redis.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.Infow("Redis client: " + fmt.Sprintf(format, args...))
}
