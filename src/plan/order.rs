//! What waits for what.

use super::Action;
use crate::model::ActionKind;

/// What waits for what among the actions of one VM whose first action has number `first`.
///
/// A chain, except for volumes: each is prepared and mounted on its own, so that one that fails does not keep the others
/// back, and the scripts wait for all of them.
pub(super) fn edges(actions: &[Action], first: usize, edges: &mut Vec<(usize, usize)>) {
    let is_volume = |action: &Action| matches!(action.kind, ActionKind::PrepareShare | ActionKind::Mount);
    let Some(volumes_from) = actions.iter().position(is_volume) else {
        edges.extend((1..actions.len()).map(|i| (first + i, first + i - 1)));
        return;
    };
    let volumes_to = volumes_from + actions[volumes_from..].iter().take_while(|action| is_volume(action)).count();
    for i in 1..actions.len() {
        let at = first + i;
        if (volumes_from..volumes_to).contains(&i) {
            let prepared = actions[i].kind == ActionKind::Mount
                && i > volumes_from
                && actions[i - 1].kind == ActionKind::PrepareShare
                && actions[i - 1].subject == actions[i].subject;
            edges.push((at, if prepared { at - 1 } else { first + volumes_from - 1 }));
        } else if i == volumes_to {
            let mounts = (volumes_from..volumes_to).filter(|m| actions[*m].kind == ActionKind::Mount);
            edges.extend(mounts.map(|m| (at, first + m)));
        } else {
            edges.push((at, at - 1));
        }
    }
}
