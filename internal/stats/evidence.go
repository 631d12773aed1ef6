package stats

// Evidence is against the claim that something comes at a rate of at most some p:
// what fair bets against that are worth, begun with 1. Their worth has a mean of
// at most 1 where the claim is true, and the probability that it ever reaches
// 1/alpha, however often one looks, is at most alpha (J. Ville, 1939). So, other
// than with an interval of k of n, one may stop when it suffices, and choose what
// to try next by what came before. (G. Shafer, Testing by Betting, Journal of the
// Royal Statistical Society A 184, 2021.)
//
// Half of the stake is careful, half is bold. The careful one bets as much as
// the guess is worth (J. Kelly, A New Interpretation of Information Rate, 1956);
// the bold one all of it, which decides soonest what always comes, and is lost
// with the first that does not.
type Evidence struct {
	claim         float64
	careful, bold float64
}

// Against is no evidence yet against a rate of at most p, which is between 0 and
// 1.
func Against(p float64) Evidence { return Evidence{claim: p, careful: 1, bold: 1} }

// See adds whether it came. The guess is at what rate it would, made before that
// was known; one that is no higher than the claim has nothing to bet on. A bad
// guess wastes evidence and makes none.
func (e *Evidence) See(came bool, guess float64) {
	switch {
	case guess <= e.claim:
	case came:
		e.careful *= guess / e.claim
		e.bold /= e.claim
	default:
		e.careful *= (1 - guess) / (1 - e.claim)
		e.bold = 0
	}
}

// Worth is what the bets have come to.
func (e Evidence) Worth() float64 { return (e.careful + e.bold) / 2 }

// Isotonic is the increasing sequence that is closest to the values, which have
// weights above zero: neighbours that are out of order share their mean
// (M. Ayer et al., An Empirical Distribution Function for Sampling with
// Incomplete Information, Annals of Mathematical Statistics 26, 1955). With
// each comes the weight of those that share it.
func Isotonic(values, weights []float64) (means, shared []float64) {
	type block struct {
		mean, weight float64
		n            int
	}
	var blocks []block
	for i, v := range values {
		b := block{v, weights[i], 1}
		for len(blocks) > 0 && blocks[len(blocks)-1].mean >= b.mean {
			last := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			w := last.weight + b.weight
			b = block{(last.mean*last.weight + b.mean*b.weight) / w, w, last.n + b.n}
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		for range b.n {
			means, shared = append(means, b.mean), append(shared, b.weight)
		}
	}
	return means, shared
}
