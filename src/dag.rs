//! A graph of things that wait for each other. The only module that names petgraph.
//!
//! # Why toposort and a strongly connected component, and nothing else of petgraph
//! Its recursive algorithms (`is_cyclic_directed`, `tarjan_scc`) overflow a thread's stack at some 15,000 nodes in a
//! row; `toposort` and `kosaraju_scc` are iterative and were measured with a million.

use petgraph::Direction;
use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

/// An acyclic graph over `0..len`; an edge says that one node waits for another.
#[derive(Debug, Clone, Default)]
pub struct Dag {
    graph: DiGraph<(), (), u32>,
}

/// The nodes wait for each other in a ring: each waits for the next, the last for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<usize>);

impl Dag {
    /// Builds the graph of `len` nodes; each edge is (node, what it waits for).
    ///
    /// # Errors
    /// The shortest cycle found, when there is one.
    ///
    /// # Panics
    /// If an edge names a node outside `0..len`: the caller numbers the nodes.
    pub fn new(len: usize, waits_for: &[(usize, usize)]) -> Result<Self, Cycle> {
        let graph = graph(len, waits_for);
        match toposort(&graph, None) {
            Ok(_) => Ok(Self { graph }),
            Err(_) => Err(Cycle(rings_of(&graph).into_iter().next().unwrap_or_default())),
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `node` waits for, in ascending order.
    #[must_use]
    pub fn dependencies(&self, node: usize) -> Vec<usize> {
        self.sorted(node, Direction::Incoming)
    }

    /// What waits for `node`, in ascending order.
    #[must_use]
    pub fn dependants(&self, node: usize) -> Vec<usize> {
        self.sorted(node, Direction::Outgoing)
    }

    /// How many nodes `node` waits for.
    #[must_use]
    pub fn dependency_count(&self, node: usize) -> usize {
        self.graph.neighbors_directed(NodeIndex::new(node), Direction::Incoming).count()
    }

    /// Whether `node` waits for itself, or for a node after it and below `end`.
    #[must_use]
    pub fn waits_for_later(&self, node: usize, end: usize) -> bool {
        let mut others = self.graph.neighbors_directed(NodeIndex::new(node), Direction::Incoming);
        others.any(|other| (node..end).contains(&other.index()))
    }

    fn sorted(&self, node: usize, direction: Direction) -> Vec<usize> {
        let mut found: Vec<usize> =
            self.graph.neighbors_directed(NodeIndex::new(node), direction).map(NodeIndex::index).collect();
        found.sort_unstable();
        found
    }
}

/// A ring of each knot of nodes that wait for each other in the end, rotated to begin with the knot's smallest node and
/// a shortest one through that; smaller knots first. Edges as in [`Dag::new`]. Looks at each edge a few times, not
/// more.
///
/// # Panics
/// As [`Dag::new`].
#[must_use]
pub fn rings(len: usize, waits_for: &[(usize, usize)]) -> Vec<Vec<usize>> {
    rings_of(&graph(len, waits_for))
}

fn graph(len: usize, waits_for: &[(usize, usize)]) -> DiGraph<(), (), u32> {
    let mut graph = DiGraph::with_capacity(len, waits_for.len());
    for _ in 0..len {
        graph.add_node(());
    }
    for &(node, dependency) in waits_for {
        graph.add_edge(NodeIndex::new(dependency), NodeIndex::new(node), ());
    }
    graph
}

fn rings_of(graph: &DiGraph<(), (), u32>) -> Vec<Vec<usize>> {
    let mut knots = kosaraju_scc(graph);
    knots.retain(|knot| knot.len() > 1 || graph.find_edge(knot[0], knot[0]).is_some());
    knots.sort_by_cached_key(|knot| (knot.len(), knot.iter().min().copied()));
    let mut knot_of = vec![usize::MAX; graph.node_count()];
    for (number, knot) in knots.iter().enumerate() {
        for node in knot {
            knot_of[node.index()] = number;
        }
    }
    let mut came_from = vec![None; graph.node_count()];
    knots.iter().map(|knot| shortest_ring(graph, knot, &knot_of, &mut came_from)).collect()
}

/// A shortest ring through the smallest node of a knot. `came_from` has room for every node, and nothing yet for those
/// of this knot.
fn shortest_ring(
    graph: &DiGraph<(), (), u32>,
    knot: &[NodeIndex],
    knot_of: &[usize],
    came_from: &mut [Option<NodeIndex>],
) -> Vec<usize> {
    let start = knot.iter().min().copied().unwrap_or(knot[0]);
    // Breadth first over "waits for" edges, from the smallest node back to itself.
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors_directed(node, Direction::Incoming) {
            if next == start {
                let mut ring = vec![node.index()];
                let mut at = node;
                while let Some(previous) = came_from[at.index()] {
                    at = previous;
                    ring.push(at.index());
                }
                ring.reverse();
                return ring;
            }
            if knot_of[next.index()] == knot_of[start.index()] && came_from[next.index()].is_none() {
                came_from[next.index()] = Some(node);
                queue.push_back(next);
            }
        }
    }
    vec![start.index()]
}

#[cfg(test)]
mod tests {
    use super::{Cycle, Dag, rings};

    #[test]
    fn tells_neighbours_in_order() {
        let dag = Dag::new(4, &[(3, 2), (3, 0), (2, 1)]).unwrap();
        assert_eq!(dag.dependencies(3), [0, 2]);
        assert_eq!(dag.dependants(1), [2]);
        assert_eq!(dag.dependency_count(3), 2);
        assert_eq!(dag.len(), 4);
    }

    #[test]
    fn tells_a_cycle_as_a_ring() {
        assert_eq!(Dag::new(5, &[(0, 1), (1, 2), (2, 3), (3, 1)]).unwrap_err(), Cycle(vec![1, 2, 3]));
        assert_eq!(Dag::new(2, &[(1, 1)]).unwrap_err(), Cycle(vec![1]));
    }

    #[test]
    fn tells_a_ring_of_each_knot() {
        let edges = [(0, 1), (1, 0), (1, 2), (2, 1), (3, 3), (4, 3), (5, 6), (6, 7), (7, 5), (7, 0)];
        assert_eq!(rings(8, &edges), [vec![3], vec![0, 1], vec![5, 6, 7]]);
        assert_eq!(rings(3, &[(2, 1), (1, 0)]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn survives_a_chain_of_200_000_in_a_thread() {
        let edges: Vec<_> = (1..200_000).map(|n| (n, n - 1)).collect();
        let dag = std::thread::spawn(move || Dag::new(200_000, &edges)).join().unwrap().unwrap();
        assert_eq!(dag.dependencies(199_999), [199_998]);
    }
}
