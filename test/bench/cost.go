package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// costRecord is what one alert cost each of the processes, in µs of a core. Unlike rates, it does not depend on what
// else the machine does, and it is what a sizing is made of.
type costRecord struct {
	Load      string  `json:"load"`
	PerSecond float64 `json:"alertsPerSecond"`
	Function  float64 `json:"functionMicros"`
	Redis     float64 `json:"redisMicros"`
	APIServer float64 `json:"apiServerMicros"`
	Etcd      float64 `json:"etcdMicros"`
}

// ticks is how many clock ticks /proc counts in a second, on every Linux that Go runs on.
const ticks = 100

// cpuOf is the time in seconds that a process has used so far.
func cpuOf(pid int) (float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the time of a process: %w", err)
	}
	return parseCPU(string(stat))
}

// parseCPU sums utime and stime, the 14th and 15th field. The second field is the program's name in brackets, which may
// hold anything.
func parseCPU(stat string) (float64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("the time of a process cannot be read from %q", stat)
	}
	sum := 0.0
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, fmt.Errorf("the time of a process cannot be read from %q", stat)
		}
		sum += n
	}
	return sum / ticks, nil
}

// meter adds up what the processes use between two readings.
type meter struct {
	bed   *bed
	pods  pods
	begin [4]float64
}

func (b *bed) meter(p pods) (*meter, error) {
	m := &meter{bed: b, pods: p}
	var err error
	m.begin, err = m.read()
	return m, err
}

// read is the time of the functions together, Redis, the API server and etcd.
func (m *meter) read() (seconds [4]float64, err error) {
	pids := [4][]int{{}, {m.bed.redis.Pid()}, {m.bed.cluster.APIServer.Pid()}, {m.bed.cluster.Etcd.Pid()}}
	for _, p := range m.pods {
		pids[0] = append(pids[0], p.Pid())
	}
	for i, group := range pids {
		for _, pid := range group {
			s, err := cpuOf(pid)
			if err != nil {
				return seconds, err
			}
			seconds[i] += s
		}
	}
	return seconds, nil
}

// record keeps the cost per alert since the meter was made.
func (m *meter) record(load string, alerts, perSecond float64) error {
	now, err := m.read()
	if err != nil {
		return err
	}
	micros := func(i int) float64 { return (now[i] - m.begin[i]) / alerts * 1e6 }
	m.bed.costs = append(m.bed.costs, costRecord{
		Load: load, PerSecond: perSecond, Function: micros(0), Redis: micros(1), APIServer: micros(2), Etcd: micros(3),
	})
	return nil
}
