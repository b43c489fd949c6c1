package subject

import (
	"encoding/hex"
	"slices"
)

// Identity is the fingerprint that counts: the one that was sent, unless labels of the target are among the alert's.
// Then it is Alertmanager's of the others: FNV-1a 64 of the sorted labels, as 16 hex digits. So the same alert about
// the same subject stays one alert, whoever reports it. When no label would be left it is the one that was sent.
func (r *Reading) Identity(sent string) string {
	if len(r.Target) == 0 || len(r.Target) == len(r.labels) {
		return sent
	}
	var array [64]string
	names := array[:0]
	for name := range r.labels {
		if !slices.Contains(r.Target, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	h := uint64(offset64)
	for _, name := range names {
		h = hashed(hashed(h, name), r.labels[name])
	}
	var sum [8]byte
	for i := range sum {
		sum[i] = byte(h >> (56 - 8*i))
	}
	return hex.EncodeToString(sum[:])
}

// The numbers of FNV-1a with 64 bits.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

// hashed adds a string and the separator that Alertmanager puts behind it.
func hashed(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * prime64
	}
	return (h ^ 0xff) * prime64
}
