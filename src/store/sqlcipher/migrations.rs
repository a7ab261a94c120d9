//! Numbered steps of the schema, applied together in one transaction with their number (`user_version`).

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// One step: the version it leads to, and its SQL.
pub(super) type Step = (u32, &'static str);

/// Every step, in order.
pub(super) const STEPS: &[Step] = &[
    (1, include_str!("migrations/001_init.sql")),
    (2, include_str!("migrations/002_forgetting_and_checks.sql")),
    (3, include_str!("migrations/003_queue.sql")),
    (4, include_str!("migrations/004_making_room.sql")),
    (5, include_str!("migrations/005_statistics.sql")),
    (6, include_str!("migrations/006_given_back.sql")),
    (7, include_str!("migrations/007_data_key_generations.sql")),
    (8, include_str!("migrations/008_audit.sql")),
    (9, include_str!("migrations/009_handles.sql")),
];

/// The schema this program writes.
pub(super) fn latest(steps: &[Step]) -> u32 {
    steps.last().map_or(0, |(version, _)| *version)
}

/// The schema of the file.
pub(super) fn version(conn: &Connection) -> Result<u32, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the file to the latest version, in one transaction: it has the tables of one version or of the other. A newer file is refused before
/// anything is written.
pub(super) fn migrate(conn: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
    let found = version(conn)?;
    let known = latest(steps);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    let upgrade = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (to, sql) in steps.iter().filter(|(to, _)| *to > found) {
        upgrade.execute_batch(sql)?;
        upgrade.pragma_update(None, "user_version", to)?;
    }
    Ok(upgrade.commit()?)
}
