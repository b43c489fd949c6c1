package projector

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// upkeep is status.upkeep: the fingerprints, 8 bytes each, in base64, the firing ones first, each part sorted; and
// how many of them fire.
func upkeep(members []aggregator.Member) v1alpha1.Upkeep {
	var firing, resolved []uint64
	for _, m := range members {
		n, err := strconv.ParseUint(m.Fingerprint, 16, 64)
		if err != nil {
			continue // A fingerprint that is none was refused with its event.
		}
		if m.Firing {
			firing = append(firing, n)
		} else {
			resolved = append(resolved, n)
		}
	}
	slices.Sort(firing)
	slices.Sort(resolved)
	raw := make([]byte, 0, 8*len(members))
	for _, n := range append(firing, resolved...) {
		raw = binary.BigEndian.AppendUint64(raw, n)
	}
	return v1alpha1.Upkeep{Members: base64.StdEncoding.EncodeToString(raw), Firing: int32(len(firing))}
}

// MembersOf are the alerts that an incident counts, with their firing bit and nothing else.
func MembersOf(i *v1alpha1.Incident) ([]aggregator.Member, error) {
	return decodeMembers(i.Status.Upkeep)
}

// decodeMembers is the reverse of upkeep.
func decodeMembers(u v1alpha1.Upkeep) ([]aggregator.Member, error) {
	raw, err := base64.StdEncoding.DecodeString(u.Members)
	if err != nil {
		return nil, fmt.Errorf("status.upkeep.members is not base64: %w", err)
	}
	if len(raw)%8 != 0 || int(u.Firing) > len(raw)/8 || u.Firing < 0 {
		return nil, fmt.Errorf("status.upkeep.members has %d bytes, and %d firing alerts of 8 bytes each", len(raw), u.Firing)
	}
	var out []aggregator.Member
	for i := 0; i < len(raw); i += 8 {
		out = append(out, aggregator.Member{
			Fingerprint: fmt.Sprintf("%016x", binary.BigEndian.Uint64(raw[i:])), Firing: i/8 < int(u.Firing),
		})
	}
	return out, nil
}
