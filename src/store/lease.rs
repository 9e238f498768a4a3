//! `grant`: how much of a budget a node gets that asks for it, beside what was used and what other nodes have.
//!
//! `used + what is granted to all nodes <= most` holds before, so it holds afterwards: a node gets what is free, or keeps what it has.
//! What it needs for a request it gets as a whole or not at all: two nodes that each hold half of what they need would both wait. What
//! it asks for ahead of need it gets a half of the rest of, so that what is left of a small budget is not all with one; and nothing
//! while another node cannot have what it needs.

/// What a node asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// What its requests hold.
    pub firm: u64,
    /// What it needs at least so that a request that waits can go on; zero: none waits.
    pub least: u64,
    /// What it needs so that each of them could.
    pub wish: u64,
    /// Beside that, what it would like to have before it is needed.
    pub ahead: u64,
}

impl Ask {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.firm.max(self.wish).saturating_add(self.ahead)
    }
}

/// What another node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Other {
    /// What it was granted.
    pub lease: u64,
    /// What of it its requests held when it last wrote.
    pub firm: u64,
    /// What it needed then and did not have.
    pub wish: u64,
}

/// What a budget is like when somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The most that may be used.
    pub most: u64,
    /// What is used, by all nodes, and written.
    pub used: u64,
    /// What other nodes were granted.
    pub others: u64,
    /// One of them needs what it does not have.
    pub wanted: bool,
    /// There is no other node.
    pub alone: bool,
    /// What the node that asks has, without what it writes down now.
    pub before: u64,
}

/// What a node has from now on.
pub fn grant(now: &Standing, ask: &Ask) -> u64 {
    let free = now.most.saturating_sub(now.used).saturating_sub(now.others);
    let fits = [ask.wish.max(ask.firm), ask.least.max(ask.firm), ask.firm].into_iter().find(|need| *need <= free);
    let fits = fits.unwrap_or(0);
    let rest = free - fits;
    let ahead = match (now.wanted, now.alone) {
        (_, true) => ask.ahead.min(rest),
        (true, _) => 0,
        (false, _) => ask.ahead.min(rest / 2),
    };
    // What it has is no one else's: it may have held it already.
    (fits + ahead).max(ask.total().min(now.before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asks(firm: u64, least: u64, wish: u64, ahead: u64) -> Ask {
        Ask { firm, least, wish, ahead }
    }

    #[test]
    fn one_alone_gets_what_it_asks_and_one_of_many_a_half_of_the_rest() {
        let alone = Standing { most: 100, alone: true, ..Standing::default() };
        assert_eq!(grant(&alone, &asks(10, 0, 0, 50)), 60);
        assert_eq!(grant(&alone, &asks(10, 0, 0, 500)), 100, "no more than there is");
        let many = Standing { most: 100, others: 20, ..Standing::default() };
        assert_eq!(grant(&many, &asks(10, 0, 0, 500)), 45);
        assert_eq!(grant(&Standing { wanted: true, ..many }, &asks(10, 0, 0, 500)), 10);
        assert_eq!(grant(&many, &asks(0, 80, 90, 0)), 80, "one of those who wait");
        assert_eq!(grant(&many, &asks(0, 81, 90, 5)), 5, "a part of what is needed is of no use");
        assert_eq!(
            grant(&Standing { others: 100, before: 30, ..many }, &asks(10, 60, 60, 0)),
            30,
            "it keeps what it has"
        );
    }

    proptest! {
        /// Nobody is granted what is not there, and what is there and needed is had.
        #[test]
        fn never_more_than_there_is(free in 0u64..100, used in 0u64..100, others in 0u64..100, before in 0u64..100, firm in 0u64..100, least in 0u64..100, more in 0u64..100, ahead in 0u64..300, wanted: bool, alone: bool) {
            let most = used + others + before + free;
            let (now, ask) = (Standing { most, used, others, wanted, alone, before }, asks(firm, least, least + more, ahead));
            let lease = grant(&now, &ask);
            prop_assert!(used + others + lease <= most);
            prop_assert!(lease <= ask.total());
            let need = firm.max(least);
            prop_assert!(lease >= need.min(ask.total()) || need > most - used - others);
            prop_assert!(lease >= before.min(ask.total()), "what it has is not taken");
        }
    }
}
