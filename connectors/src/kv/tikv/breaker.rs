//! A store that is down is not asked by everybody all the time: after a few failed calls in a row, calls fail at once
//! for a while; then a single one tries again, and if it succeeds, all may.
//!
//! It is told the time and reads no clock.

use std::time::Duration;

use super::failure::Failure;

/// So many calls in a row fail before the next ones fail at once.
pub(super) const FAILURES: u32 = 5;

/// How long they do.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What is known of a store's health.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    reason: String,
    /// Until then calls fail at once, if too many have failed.
    until: Duration,
}

impl Breaker {
    /// Whether a call may go on. The one that goes on in a bad time has this long to find out; till then the others fail.
    pub(super) fn enter(&mut self, now: Duration, limit: Duration) -> Result<(), Failure> {
        if self.failures < FAILURES {
            return Ok(());
        }
        if now < self.until {
            return Err(Failure::Paused {
                failures: self.failures,
                wait: self.until - now,
                reason: self.reason.clone(),
            });
        }
        self.until = now + limit;
        Ok(())
    }

    /// A call was answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call failed; whether others now fail at once.
    pub(super) fn failed(&mut self, now: Duration, reason: String) -> bool {
        self.failures += 1;
        self.reason = reason;
        self.until = now + PAUSE;
        self.failures >= FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn is_open(breaker: &mut Breaker, now: Duration) -> bool {
        breaker.enter(now, LIMIT).is_ok()
    }

    /// Failures that are not in a row stop nothing.
    #[test]
    fn an_answer_forgives_all() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed(Duration::ZERO, "no".into()));
                assert!(is_open(&mut breaker, Duration::ZERO));
            }
            breaker.answered();
        }
    }

    /// After failures in a row calls fail with the reason; then one call tries, and its outcome decides.
    #[test]
    fn one_call_tries_for_all() {
        let mut breaker = Breaker::default();
        let mut now = Duration::from_secs(9);
        for number in 1..=FAILURES {
            assert_eq!(
                breaker.failed(now, format!("no {number}")),
                number == FAILURES
            );
        }
        now += PAUSE - Duration::from_millis(1);
        let failure = breaker.enter(now, LIMIT).unwrap_err().to_string();
        assert!(
            failure.contains("no 5") && failure.contains("within 1 ms"),
            "{failure}"
        );
        now += Duration::from_millis(1);
        assert!(is_open(&mut breaker, now), "it tries");
        assert!(!is_open(&mut breaker, now), "the others wait for it");
        assert!(breaker.failed(now, "still no".into()));
        assert!(!is_open(&mut breaker, now));
        now += PAUSE;
        assert!(is_open(&mut breaker, now), "the next one");
        breaker.answered();
        assert!(is_open(&mut breaker, now) && is_open(&mut breaker, now));
    }

    /// A call that never comes back stops the others only for its time.
    #[test]
    fn a_lost_trial_is_not_waited_for() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            breaker.failed(Duration::ZERO, "no".into());
        }
        assert!(is_open(&mut breaker, PAUSE));
        assert!(!is_open(
            &mut breaker,
            PAUSE + LIMIT - Duration::from_millis(1)
        ));
        assert!(is_open(&mut breaker, PAUSE + LIMIT));
    }
}
