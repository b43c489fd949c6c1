package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stormfold/stormfold/internal/projector"
)

// Environment variables of both commands. Those of the function work too.
const (
	listenVariable     = "LISTEN_ADDRESS"
	webhookVariable    = "DEV_WEBHOOK_ADDRESS"
	apiVariable        = "DEV_API_ADDRESS"
	metricsVariable    = "STORMFOLD_METRICS_ADDRESS"
	redisVariable      = "STORMFOLD_REDIS_URL"
	kubeconfigVariable = "DEV_KUBECONFIG"
	namespaceVariable  = "STORMFOLD_NAMESPACE"
)

// settings are the addresses of all servers.
type settings struct {
	// Addresses, as host:port. metrics may be "off".
	listen, webhook, api, metrics string
	// redisURL and kubeconfig name real servers; empty for the embedded ones.
	redisURL, kubeconfig string
	namespace            string
}

// readSettings reads the environment. It ignores KUBECONFIG, so that no incidents are written to a cluster by accident.
func readSettings() (settings, error) {
	s := settings{
		redisURL: os.Getenv(redisVariable), kubeconfig: os.Getenv(kubeconfigVariable),
		namespace: cmp.Or(os.Getenv(namespaceVariable), "stormfold"),
		metrics:   cmp.Or(os.Getenv(metricsVariable), "127.0.0.1:9464"),
	}
	var errs [3]error
	s.listen, errs[0] = address(listenVariable, "127.0.0.1:8080")
	s.webhook, errs[1] = address(webhookVariable, "127.0.0.1:9095")
	s.api, errs[2] = address(apiVariable, "127.0.0.1:8082")
	return s, errors.Join(errs[:]...)
}

// address is the one that a variable names, or else the default.
func address(variable, usual string) (string, error) {
	value := cmp.Or(os.Getenv(variable), usual)
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %q is malformed: it must be host:port, for instance %s", variable, value, usual)
	}
	return value, nil
}

// free checks, before anything starts, that an address is free.
func free(variable, address string) error {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is in use; set %s to another address", variable, address, variable)
	case err != nil:
		return fmt.Errorf("%s: cannot listen on %s: %w", variable, address, err)
	}
	return listener.Close()
}

// incidents are those of the cluster, or of make run's own API.
func (s settings) incidents() (projector.Incidents, error) {
	config := &rest.Config{Host: "http://" + s.api}
	if s.kubeconfig != "" {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", s.kubeconfig); err != nil {
			return nil, fmt.Errorf("%s: %q is not a usable kubeconfig file: %w", kubeconfigVariable, s.kubeconfig, err)
		}
	}
	return projector.NewClient(config, callTimeout, 5, 10)
}
