package aggregator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// format is the number of the format in which this program keeps what it knows in Redis, as docs/design.md tells it. It
// grows when what an older program wrote can no longer be read as it is. Version 0.1 wrote format 1 and no number;
// format 2 was never released.
const format = 3

// unmarked is the format of data without a number.
const unmarked = 1

// OtherFormatError says that another version of Stormfold keeps its data under our keys.
type OtherFormatError struct {
	Prefix string
	// Format of that data, as it is in Redis.
	Format string
}

func (e *OtherFormatError) Error() string {
	return fmt.Sprintf(
		"another version of Stormfold keeps its data under the keys {%s:*} of this Redis, in format %s where "+
			"this one writes %d: stop that version, then delete those keys or set another STORMFOLD_REDIS_PREFIX; "+
			"the open incidents are read from Kubernetes again",
		e.Prefix,
		e.Format,
		format,
	)
}

// checkFormat writes the number of our format into a Redis that holds none of our data, and refuses one that holds data
// in another.
//
// A Redis that is full takes no number. One that holds none of our data is all right without: no shard is imported
// before it is written, see FinishImport.
func (a *Aggregator) checkFormat(ctx context.Context) error {
	found, err := a.readFormat(ctx)
	if err == nil && found == "" {
		if err = a.markFormat(ctx); errors.Is(classify(err), ErrOutOfMemory) {
			return nil
		}
		if err == nil {
			found, err = a.readFormat(ctx) // Another version may have been faster.
		}
	}
	if err != nil {
		return fmt.Errorf("asking Redis for the format of its data: %w", classify(err))
	}
	if found != strconv.Itoa(format) {
		return &OtherFormatError{Prefix: string(a.keys), Format: found}
	}
	return nil
}

// readFormat is the format of the data that Redis holds, empty when it holds none. Data are what a shard has that was
// imported: in a Redis that was emptied under running pods only words wait until then, and pods that start meanwhile
// have to bring the import. It looks for data before it looks for the number: a pod that starts at the same time writes
// the number first.
func (a *Aggregator) readFormat(ctx context.Context) (string, error) {
	imported, err := a.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for shard := range Shards {
			pipe.Exists(ctx, a.keys.epoch(shard))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	found, err := a.rdb.Get(ctx, a.keys.format()).Result()
	if !errors.Is(err, redis.Nil) {
		return found, err
	}
	if slices.ContainsFunc(imported, func(reply redis.Cmder) bool { return reply.(*redis.IntCmd).Val() > 0 }) {
		return strconv.Itoa(unmarked), nil
	}
	return "", nil
}

// markFormat says in which format the data is, where nothing says so.
func (a *Aggregator) markFormat(ctx context.Context) error {
	err := a.rdb.SetArgs(ctx, a.keys.format(), format, redis.SetArgs{Mode: "NX"}).Err()
	if errors.Is(err, redis.Nil) { // It is there.
		return nil
	}
	return err
}
