//! How probable it is that a request is recorded, given what there was lately.

/// What a sliding window says of the traffic in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests per second.
    pub qps: f64,
    /// The fraction of them that failed, 0..=1; 0 where there were none.
    pub error_rate: f64,
}

/// `clamp(min, max, target_qps / (qps + 0.1) × (1 − error_weight × error_rate))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formula {
    /// How many requests per second are to be recorded; above 0.
    pub target_qps: f64,
    /// The least probability, 0..=`max`. With 0 nothing at all is recorded while `error_weight × error_rate` is 1 or more;
    /// otherwise no probability is ever 0.
    pub min: f64,
    /// The greatest probability, `min`..=1. It wins should it be less than `min`.
    pub max: f64,
    /// What errors do: above 0 they make requests less probable, below 0 more so.
    pub error_weight: f64,
}

impl Default for Formula {
    fn default() -> Formula {
        Formula { target_qps: 100.0, min: 0.01, max: 1.0, error_weight: 2.0 }
    }
}

impl Formula {
    /// The probability, 0..=1. A number whatever the arguments are.
    pub fn probability(&self, rates: Rates) -> f64 {
        let followed = self.target_qps / (rates.qps + 0.1) * (1.0 - self.error_weight * rates.error_rate);
        // Unlike `clamp`, which keeps a NaN, `max` and `min` answer with the other number.
        #[expect(clippy::manual_clamp)]
        let within = followed.max(self.min).min(self.max).max(0.0).min(1.0);
        within
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const DEFAULT: Formula = Formula { target_qps: 100.0, min: 0.01, max: 1.0, error_weight: 2.0 };

    #[test]
    fn the_default_is_what_is_documented() {
        assert_eq!(Formula::default(), DEFAULT);
    }

    #[test]
    fn the_probability_is_the_target_over_the_load_within_its_bounds() {
        let never_nothing = Formula { min: 0.0, ..DEFAULT };
        let errors_matter = Formula { error_weight: -4.0, ..DEFAULT };
        let crossed = Formula { min: 0.5, max: 0.2, ..DEFAULT };
        let table = [
            // formula, qps, error rate, probability
            (DEFAULT, 0.0, 0.0, 1.0),
            (DEFAULT, 99.9, 0.0, 1.0),
            (DEFAULT, 199.9, 0.0, 0.5),
            (DEFAULT, 999.9, 0.0, 0.1),
            (DEFAULT, 9_999.9, 0.0, 0.01),
            (DEFAULT, 1e9, 0.0, 0.01),
            (never_nothing, 99_999.9, 0.0, 0.001),
            // Errors: a quarter of them halves it, half of them and all of them leave the least.
            (DEFAULT, 999.9, 0.25, 0.05),
            (DEFAULT, 999.9, 0.5, 0.01),
            (DEFAULT, 999.9, 1.0, 0.01),
            (DEFAULT, 0.0, 1.0, 0.01),
            (never_nothing, 999.9, 1.0, 0.0),
            (errors_matter, 999.9, 0.25, 0.2),
            (errors_matter, 999.9, 1.0, 0.5),
            (errors_matter, 199.9, 1.0, 1.0),
            // The greatest wins over the least.
            (crossed, 0.0, 0.0, 0.2),
            (crossed, 1e9, 0.0, 0.2),
        ];
        for (formula, qps, error_rate, expected) in table {
            let probability = formula.probability(Rates { qps, error_rate });
            assert!((probability - expected).abs() < 1e-12, "{formula:?} {qps} {error_rate}: {probability}");
        }
    }

    #[test]
    fn whatever_the_numbers_are_a_probability_comes_out() {
        let numbers =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.1, 0.0, 1e-300, 0.5, 1.0, 7.0];
        for target_qps in numbers {
            for min in numbers {
                for max in numbers {
                    for error_weight in numbers {
                        for qps in numbers {
                            for error_rate in [f64::NAN, 0.0, 0.5, 1.0, f64::INFINITY] {
                                let formula = Formula { target_qps, min, max, error_weight };
                                let probability = formula.probability(Rates { qps, error_rate });
                                assert!((0.0..=1.0).contains(&probability), "{formula:?} {qps} {error_rate}");
                            }
                        }
                    }
                }
            }
        }
    }
}
