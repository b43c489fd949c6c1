package handlers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		interval, repeat any
		want             Periods
	}{
		{nil, nil, Periods{}},
		{"300", "43200", Periods{5 * time.Minute, 12 * time.Hour}},
		{300, nil, Periods{GroupInterval: 5 * time.Minute}},
		{"-1", "soon", Periods{}},
		{"", "0", Periods{}},
		{"99999999999", true, Periods{}},
	} {
		ev := incoming(TypeAlert, []byte(sound))
		if c.interval != nil {
			ev.SetExtension("groupinterval", c.interval)
		}
		if c.repeat != nil {
			ev.SetExtension("repeatinterval", c.repeat)
		}
		got, err := Decode(ev, received)
		require.NoError(t, err)
		require.Equal(t, c.want, got.Periods)
	}
}
