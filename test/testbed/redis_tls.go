package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// RedisTLS is what a Redis server needs to answer by TLS on a port beside its plain one, and a client to trust it.
type RedisTLS struct {
	// Addr is the port with TLS: host:port.
	Addr string
	// Settings are lines of redis.conf.
	Settings []string
	// CA is the file of the authority that signed the server's certificate, PEM.
	CA string
}

// TLS makes an authority, and a certificate for a Redis server on loopback. Clients need no certificate.
func TLS(t testing.TB) RedisTLS {
	t.Helper()
	r := RedisTLS{CA: filepath.Join(t.TempDir(), "ca.crt")}
	if err := r.write(Port(t)); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return r
}

func (r *RedisTLS) write(port int) error {
	authority, err := newAuthority("redis")
	if err != nil {
		return err
	}
	pair, err := authority.server("redis")
	if err != nil {
		return err
	}
	dir := filepath.Dir(r.CA)
	public, private := filepath.Join(dir, "redis.crt"), filepath.Join(dir, "redis.key")
	for name, content := range map[string][]byte{r.CA: authority.certPEM, public: pair.public, private: pair.private} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return fmt.Errorf("write the keys of Redis: %w", err)
		}
	}
	r.Addr = loopback(port)
	r.Settings = []string{"tls-port " + strconv.Itoa(port), "tls-cert-file " + public, "tls-key-file " + private,
		"tls-ca-cert-file " + r.CA, "tls-auth-clients no"}
	return nil
}
