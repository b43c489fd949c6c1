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

// encodeMembers is status.members: the fingerprints, 8 bytes each, in base64, the firing ones first, each part sorted; and
// how many of them fire.
func encodeMembers(members []aggregator.Member) (string, int32) {
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
	return base64.StdEncoding.EncodeToString(raw), int32(len(firing))
}

// decodeMembers reads status.members and status.membersFiring back.
func decodeMembers(encoded string, firing int32) ([]aggregator.Member, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("status.members is not base64: %w", err)
	}
	if len(raw)%8 != 0 || int(firing) > len(raw)/8 || firing < 0 {
		return nil, fmt.Errorf("status.members: %d bytes with %d firing, where 8 bytes for each were expected", len(raw), firing)
	}
	var out []aggregator.Member
	for i := 0; i < len(raw); i += 8 {
		out = append(out, aggregator.Member{
			Fingerprint: fmt.Sprintf("%016x", binary.BigEndian.Uint64(raw[i:])), Firing: i/8 < int(firing),
		})
	}
	return out, nil
}

// MembersOf are the alerts that an incident counts, with their firing bit and nothing else.
func MembersOf(i *v1alpha1.Incident) ([]aggregator.Member, error) {
	return decodeMembers(i.Status.Members, i.Status.MembersFiring)
}
