package aggregator

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// Warnings says, in one sentence each, which settings of the Redis server lose data, and what would be right. A server
// that does not tell its settings gets no warning.
func (a *Aggregator) Warnings(ctx context.Context) ([]string, error) {
	if a.plain {
		return nil, nil
	}
	info, err := a.rdb.Info(ctx, "memory", "persistence", "replication").Result()
	if err != nil {
		return nil, fmt.Errorf("asking Redis for its settings: %w", classify(err))
	}
	values := infoValues(info)
	out := warnings(values)
	if values["aof_enabled"] == "1" {
		replay, err := a.replayWarning(ctx)
		if err != nil {
			return out, err
		}
		if replay != "" {
			out = append(out, replay)
		}
	}
	return out, nil
}

// warnings reads INFO's values.
func warnings(values map[string]string) []string {
	var out []string
	if policy := values["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		out = append(
			out,
			fmt.Sprintf("maxmemory-policy is %s: when memory is full, Redis evicts groups; set it to noeviction", policy),
		)
	}
	if values["maxmemory"] == "0" {
		out = append(out, "maxmemory is 0: when memory is full, the server is killed; "+
			"set it below the memory that the server has")
	}
	if values["aof_enabled"] == "0" && values["connected_slaves"] == "0" {
		out = append(
			out,
			"there is neither an append-only file nor a replica: after a restart, only what is in Kubernetes is "+
				"known; set appendonly to yes, or add a replica",
		)
	}
	return out
}

// infoValues are the lines of INFO's text.
func infoValues(info string) map[string]string {
	values := map[string]string{}
	for scanner := bufio.NewScanner(strings.NewReader(info)); scanner.Scan(); {
		if name, value, ok := strings.Cut(strings.TrimSpace(scanner.Text()), ":"); ok {
			values[name] = value
		}
	}
	return values
}
