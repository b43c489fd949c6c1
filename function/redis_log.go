package function

import (
	"context"
	"fmt"

	"go.uber.org/zap"
)

// redisLog is the logger of go-redis: what it says of lost connections and of Sentinels becomes lines like ours.
type redisLog struct{ *zap.SugaredLogger }

// Printf is called by go-redis.
func (l redisLog) Printf(_ context.Context, format string, args ...any) {
	l.Infow("Redis client: " + fmt.Sprintf(format, args...))
}
