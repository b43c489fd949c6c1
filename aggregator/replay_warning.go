package aggregator

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// replayed are commands that our scripts leave in an append-only file, with arguments that fit. KEY is any key of
// the installation.
var replayed = []string{"HSET KEY f v", "ZADD KEY 1 m", "SET KEY v", "DEL KEY", "PEXPIREAT KEY 1"}

// replayWarning says when Redis will not replay its append-only file. It replays the file as the default user, even
// when that user is off, and drops every transaction with a command that this user may not use: every script with two
// or more writes.
//
// It asks by ACL DRYRUN, which tells whether a user may do something, and nothing else. When we may not ask, there is
// no warning.
func (a *Aggregator) replayWarning(ctx context.Context) (string, error) {
	for _, command := range replayed {
		args := []any{"ACL", "DRYRUN", "default"}
		for _, word := range strings.Fields(strings.Replace(command, "KEY", a.keys.format(), 1)) {
			args = append(args, word)
		}
		answer, err := a.rdb.Do(ctx, args...).Text()
		if redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "ERR") {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("asking Redis for the permissions of its default user: %w", classify(err))
		}
		if answer != "OK" {
			return fmt.Sprintf("the append-only file is replayed as the default user, and that user may not use all "+
				"commands (%s): after a restart most of what Redis acknowledged is missing; "+
				"set the default user to off ~* &* +@all", answer), nil
		}
	}
	return "", nil
}
