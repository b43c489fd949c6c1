// Package v1alpha1 holds the types of the stormfold.io API group: Incident.
//
// +groupName=stormfold.io
// +kubebuilder:object:generate=true
package v1alpha1
