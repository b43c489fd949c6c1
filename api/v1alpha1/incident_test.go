package v1alpha1_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// crd is the definition that is applied to a cluster.
func crd(t *testing.T) apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/crd/stormfold.io_incidents.yaml")
	require.NoError(t, err)
	var out apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(raw, &out))
	require.Len(t, out.Spec.Versions, 1)
	return out
}

func schemaOf(t *testing.T, fields ...string) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	schema := *crd(t).Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, field := range fields {
		next, ok := schema.Properties[field]
		require.True(t, ok, "%s of %v is in the schema", field, fields)
		schema = next
	}
	return schema
}

func TestDefinitionNames(t *testing.T) {
	def := crd(t)
	assert.Equal(t, "incidents.stormfold.io", def.Name)
	assert.Equal(t, v1alpha1.SchemeGroupVersion.Group, def.Spec.Group)
	assert.Equal(t, apiextensionsv1.NamespaceScoped, def.Spec.Scope)
	assert.Equal(t, apiextensionsv1.CustomResourceDefinitionNames{
		Plural: "incidents", Singular: "incident", ShortNames: []string{"inc"}, Kind: "Incident", ListKind: "IncidentList",
		Categories: []string{"stormfold"},
	}, def.Spec.Names)
	version := def.Spec.Versions[0]
	assert.Equal(t, v1alpha1.SchemeGroupVersion.Version, version.Name)
	assert.NotNil(t, version.Subresources.Status, "status is a subresource")
}

func TestDefinitionColumns(t *testing.T) {
	type column struct {
		name, path string
		priority   int32
	}
	var got []column
	for _, c := range crd(t).Spec.Versions[0].AdditionalPrinterColumns {
		got = append(got, column{c.Name, c.JSONPath, c.Priority})
	}
	assert.Equal(t, []column{
		{"Type", ".status.type", 0},
		{"State", ".status.state", 0},
		{"Severity", ".status.severity", 0},
		{"Firing", ".status.alerts.firing", 0},
		{"Total", ".status.alerts.total", 0},
		{"Since", ".status.startedAt", 0},
		{"Subject", ".status.about", 0},
		{"Policy", ".spec.policy", 1},
		{"Summary", ".status.summary", 1},
	}, got)
}

func TestDefinitionSelectableFields(t *testing.T) {
	assert.Equal(t, []apiextensionsv1.SelectableField{
		{JSONPath: ".status.type"}, {JSONPath: ".status.severity"}, {JSONPath: ".status.state"},
		{JSONPath: ".status.partOf"},
		{JSONPath: ".status.subject.kind"}, {JSONPath: ".status.subject.namespace"}, {JSONPath: ".status.subject.name"},
	}, crd(t).Spec.Versions[0].SelectableFields)
}

func TestDefinitionKeepsSpec(t *testing.T) {
	assert.Equal(t, apiextensionsv1.ValidationRules{
		{Rule: "self == oldSelf", Message: "spec is immutable"},
	}, schemaOf(t, "spec").XValidations)
	assert.EqualValues(t, 32, *schemaOf(t, "spec", "groupLabels").MaxProperties)
	assert.EqualValues(t, 64, *schemaOf(t, "status", "labels").MaxProperties)
}

func TestDefinitionEnums(t *testing.T) {
	assert.Equal(
		t,
		enum(t, v1alpha1.StateFiring, v1alpha1.StateResolved, v1alpha1.StateAbsorbed),
		schemaOf(t, "status", "state").Enum,
	)
	assert.Equal(t, enum(t, v1alpha1.TypeAlert, v1alpha1.TypeStorm, v1alpha1.TypeOutage), schemaOf(t, "status", "type").Enum)
}

func enum[T ~string](t *testing.T, values ...T) []apiextensionsv1.JSON {
	t.Helper()
	var out []apiextensionsv1.JSON
	for _, v := range values {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		out = append(out, apiextensionsv1.JSON{Raw: raw})
	}
	return out
}

func TestDefinitionLists(t *testing.T) {
	for field, want := range map[string]int64{"resources": v1alpha1.MaxResources, "hotspots": v1alpha1.MaxHotspots} {
		schema := schemaOf(t, "status", field)
		assert.Equal(t, want, *schema.MaxItems, field)
		assert.Equal(t, "atomic", *schema.XListType, field)
	}
	conditions := schemaOf(t, "status", "conditions")
	assert.Equal(t, "map", *conditions.XListType)
	assert.Equal(t, []string{"type"}, conditions.XListMapKeys)
}

// Members of 10,000 alerts, the most that a policy may track, have to fit.
func TestDefinitionHasRoomForMembers(t *testing.T) {
	const alerts = 10000
	assert.GreaterOrEqual(t, *schemaOf(t, "status", "upkeep", "members").MaxLength, int64((alerts*8+2)/3*4))
}

// Every description that a reader of kubectl explain sees is there.
func TestDefinitionDescribesEveryField(t *testing.T) {
	var walk func(path string, schema apiextensionsv1.JSONSchemaProps)
	walk = func(path string, schema apiextensionsv1.JSONSchemaProps) {
		for name, field := range schema.Properties {
			assert.NotEmpty(t, field.Description, "%s.%s", path, name)
			walk(path+"."+name, field)
		}
		if schema.Items != nil && schema.Items.Schema != nil {
			walk(path+"[]", *schema.Items.Schema)
		}
	}
	walk("spec", schemaOf(t, "spec"))
	walk("status", schemaOf(t, "status"))
}

// A zero count is a fact: it shows, in kubectl's columns too.
func TestZeroCountsAreWritten(t *testing.T) {
	raw, err := json.Marshal(v1alpha1.IncidentStatus{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"alerts":{"total":0,"firing":0,"resolved":0}}`, string(raw))
}

func TestRoundTripDropsNothing(t *testing.T) {
	filler := randfill.NewWithSeed(1).NilChance(0.3).NumElements(1, 4)
	for range 200 {
		var in, out v1alpha1.Incident
		filler.Fill(&in.Spec)
		filler.Fill(&in.Status)
		raw, err := json.Marshal(in)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &out))
		require.True(t, equality.Semantic.DeepEqual(in, out), "in  %+v\nout %+v", in, out)
		require.True(t, equality.Semantic.DeepEqual(in, *in.DeepCopy()))
	}
}

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	for kind, want := range map[string]runtime.Object{"Incident": &v1alpha1.Incident{},
		"IncidentList": &v1alpha1.IncidentList{}} {
		got, err := scheme.New(v1alpha1.SchemeGroupVersion.WithKind(kind))
		require.NoError(t, err)
		assert.Equal(t, reflect.TypeOf(want), reflect.TypeOf(got))
	}
}
