//! The image of the ledger in memory, where the order of messages is against it.

use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::{
    cache::{Service, Touch, Touched},
    chance::SeededDice,
    clock::Timestamp,
    engine::{faulty::Faulty, testing::mailbox},
    store::{Limits, Memory, NewWrite, Outcome},
};

fn world() -> (Arc<Faulty>, Arc<Truth>) {
    let faulty = Faulty::over(Arc::new(Memory::new(Arc::new(SeededDice::new(1)), Limits::default())));
    let truth = Arc::new(Truth::new(faulty.clone(), Arc::new(SeededDice::new(2))));
    (faulty, truth)
}

async fn write(ledger: &dyn Ledger, call: &str, scope: Scope) -> Vec<Bumped> {
    let touched = Touched { source: mailbox(), service: Service::Mail, touches: vec![Touch::Scope(scope)] };
    let new = NewWrite {
        call_key: call.into(),
        account: AccountId::new("a"),
        tool: "email_move".into(),
        args_hash: [0; 32],
        touched,
        at: Timestamp(0),
        client: String::new(),
        targets: Vec::new(),
    };
    let id = ledger.open_write(new).await.unwrap();
    ledger.close_write(id, Outcome::Done { late: false }, vec![], vec![], Timestamp(0), Timestamp(0)).await.unwrap()
}

#[tokio::test]
async fn a_write_between_the_ledgers_answer_and_its_taking_in_is_not_lost() {
    let (faulty, truth) = world();
    *faulty.held.lock().unwrap() = "source";
    let loading = tokio::spawn({
        let truth = truth.clone();
        async move { truth.load(&mailbox()).await }
    });
    faulty.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
    truth.apply(&write(&*faulty, "w", Scope::folders()).await);
    faulty.gate.add_permits(100);
    loading.await.unwrap().unwrap();
    assert_eq!(truth.marks(&mailbox(), &Scope::folders()).unwrap().written_at, 1);
}

#[tokio::test]
async fn a_distrusted_source_is_not_trusted_by_the_next_bump() {
    let (faulty, truth) = world();
    truth.load(&mailbox()).await.unwrap();
    let (epoch, _) = truth.position(&mailbox()).unwrap();
    truth.distrust(&mailbox());
    truth.apply(&write(&*faulty, "w", Scope::folders()).await);
    truth.forgotten(&mailbox(), &Forgotten::default());
    truth.load(&mailbox()).await.unwrap();
    assert_ne!(truth.position(&mailbox()).unwrap().0, epoch);
    truth.trust(&mailbox(), faulty.renew(&mailbox()).await.unwrap());
    truth.apply(&write(&*faulty, "x", Scope::folders()).await);
    assert_eq!(truth.marks(&mailbox(), &Scope::folders()).unwrap().written_at, 2);
}

#[tokio::test]
async fn a_source_begun_anew_is_loaded_anew() {
    let (faulty, truth) = world();
    truth.load(&mailbox()).await.unwrap();
    faulty.renew(&mailbox()).await.unwrap();
    truth.apply(&write(&*faulty, "w", Scope::folders()).await);
    assert_eq!(truth.position(&mailbox()), None, "the bump names too little to begin with");
    truth.load(&mailbox()).await.unwrap();
    assert_eq!(truth.position(&mailbox()).unwrap().1, 1);
}

#[tokio::test]
async fn what_the_ledger_forgot_leaves_unless_it_was_bumped_again() {
    let (faulty, truth) = world();
    truth.load(&mailbox()).await.unwrap();
    let names = ["a", "b", "c"].map(Scope::messages);
    for (nth, scope) in names.iter().enumerate() {
        truth.apply(&write(&*faulty, &format!("w{nth}"), scope.clone()).await);
    }
    let forgotten = faulty.forget(&mailbox(), crate::cache::Keep::both(1), 100).await.unwrap();
    assert_eq!(forgotten.dropped.len(), 3);
    // Overtakes the news of the forgetting on its way.
    let again = write(&*faulty, "again", names[0].clone()).await;
    truth.apply(&again);
    truth.forgotten(&mailbox(), &forgotten);
    let ledger = faulty.source(&mailbox()).await.unwrap();
    assert_eq!(truth.rows(), ledger.scopes.len());
    for scope in BTreeSet::from_iter(names).into_iter().chain([Scope::folders(), Scope::any(Service::Mail)]) {
        assert_eq!(truth.marks(&mailbox(), &scope).unwrap(), ledger.marks(&scope), "{scope:?}");
    }
}
