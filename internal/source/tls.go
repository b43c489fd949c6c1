package source

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
)

// certificate is the server's certificate. It is read for each connection, of which Alertmanager keeps few, so that a
// changed Secret applies to the next one. While its two files do not match, the last valid certificate is used.
type certificate struct {
	cert, key string
	last      atomic.Pointer[tls.Certificate]
	log       *zap.SugaredLogger
}

// serverTLS is nil without files, and otherwise the configuration of the listener.
func serverTLS(settings *Settings, log *zap.SugaredLogger) (*tls.Config, error) {
	if settings.CertFile == "" {
		return nil, nil
	}
	c := &certificate{cert: settings.CertFile, key: settings.KeyFile, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("%s, %s: %w", certKey, keyKey, err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if err := c.load(); err != nil {
				c.log.Errorw("the certificate cannot be read; the last valid one stays in use", "error", err)
			}
			return c.last.Load(), nil
		},
	}, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err == nil {
		c.last.Store(&pair)
	}
	return err
}
