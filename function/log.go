package function

import (
	"github.com/blendle/zapdriver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger writes JSON lines to standard error, as Knative's components do. Unlike theirs it is not sampled: every
// event that is refused permanently has a line.
func newLogger(level string) *zap.SugaredLogger {
	c := zapdriver.NewProductionConfig()
	c.Sampling = nil
	if l, err := zapcore.ParseLevel(level); err == nil {
		c.Level = zap.NewAtomicLevelAt(l)
	}
	return zap.Must(c.Build()).Named("stormfold").Sugar()
}
