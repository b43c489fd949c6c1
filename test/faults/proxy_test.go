package faults

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProxy holds the faults of a connection to what their names say: a setting that Toxiproxy does not know would be
// none.
func TestProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() { // It sends everything back.
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := NewProxy(listener.Addr().String())
	require.NoError(t, err)
	defer p.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	echo := func(c net.Conn, patience time.Duration) error {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 1))
		return err
	}
	const enough = 10 * time.Second
	c := dial()
	require.NoError(t, echo(c, enough))

	t.Run("latency", func(t *testing.T) {
		require.NoError(t, p.Latency(50*time.Millisecond))
		before := time.Now()
		assert.NoError(t, echo(c, enough))
		assert.GreaterOrEqual(t, time.Since(before), 100*time.Millisecond, "50 ms there, 50 ms back")
		require.NoError(t, p.Restore())
	})
	t.Run("half-open", func(t *testing.T) {
		require.NoError(t, p.HalfOpen())
		assert.NoError(t, echo(dial(), enough), "a new connection")
		assert.ErrorIs(t, echo(c, 200*time.Millisecond), os.ErrDeadlineExceeded, "one that there was")
	})
	for _, direction := range []string{upstream, downstream} {
		t.Run("reset "+direction, func(t *testing.T) {
			c := dial()
			require.NoError(t, echo(c, enough))
			require.NoError(t, p.Reset(direction))
			assert.ErrorIs(t, echo(c, enough), syscall.ECONNRESET, "one that there was")
			assert.ErrorIs(t, echo(dial(), enough), syscall.ECONNRESET, "a new connection")
			require.NoError(t, p.Restore())
			assert.NoError(t, echo(dial(), enough), "afterwards")
		})
	}
}
