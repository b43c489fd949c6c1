package main

// adjustedRand is the adjusted Rand index (Hubert and Arabie) of two partitions of the same things, given as the name
// of the part that each thing is in: 1 when they are equal, about 0 when they have no more in common than chance
// explains.
func adjustedRand(a, b []string) float64 {
	type cell struct{ a, b string }
	cells, as, bs := map[cell]int{}, map[string]int{}, map[string]int{}
	for i := range a {
		cells[cell{a[i], b[i]}]++
		as[a[i]]++
		bs[b[i]]++
	}
	together, inA, inB, all := pairsOf(cells), pairsOf(as), pairsOf(bs), pairs(len(a))
	if all == 0 {
		return 1
	}
	expected, most := inA*inB/all, (inA+inB)/2
	if most == expected { // Both have one part, or as many as there are things.
		return 1
	}
	return (together - expected) / (most - expected)
}

// pairs is how many pairs n things make.
func pairs(n int) float64 { return float64(n) * float64(n-1) / 2 }

func pairsOf[K comparable](counts map[K]int) float64 {
	var sum float64
	for _, n := range counts {
		sum += pairs(n)
	}
	return sum
}
