//! What every verb that plans does first: reads the config, looks at the target, plans.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};

use super::again::word;
use super::args::{self, Allowing, Args, GuestKind, Selecting};
use super::choosing::Known;
use super::connect::{Chosen, Intent, Named};
use super::console::Console;
use super::exit::Refusal;
use super::load::Given;
use super::shown::{Shown, tell_findings, view};
use super::{Exit, arriving, connect, load, observe};
use crate::apply::{Preview, RealClock, preview, verify};
use crate::config::Source;
use crate::event::Failure;
use crate::hypervisor::{About, Hypervisor};
use crate::model::{Desired, VmId, content_digest};
use crate::observed::{Observed, Recording};
use crate::plan::document::{DocumentConfig, DocumentTarget, PlanDocument, Provenance, meaning};
use crate::plan::{Agreed, Goal, Plan, Request, Selection, Selector, homes, lint, plan, to_ask, to_verify};
use crate::ui;

/// What is to be planned.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The config.
    pub(super) config: PathBuf,
    /// A saved plan names it, and the operator does not.
    pub(super) plan_names_it: bool,
    /// Where the operator says that its files are.
    pub(super) given: Given,
    /// The target, if the command line names one.
    pub(super) target: Option<Named>,
    /// What the guests of an embedded node are to be, if the command line says it.
    pub(super) guests: Option<GuestKind>,
    /// What is asked for.
    pub(super) request: Request,
    /// The VMs that its goal is about, as they were named; looked up once the target was seen.
    pub(super) about: Vec<Selector>,
    /// The VMs that are destroyed and made anew, as they were named; looked up likewise.
    pub(super) recreate: Vec<Selector>,
    /// The VMs whose unused volumes are erased, likewise.
    pub(super) delete_unused: Vec<Selector>,
    /// A recording to look at instead of the target.
    pub(super) against: Option<PathBuf>,
    /// What is about to be done with the target.
    pub(super) intent: Intent,
    /// Nodes that were agreed upon for VMs.
    pub(super) nodes: Agreed,
}

/// A plan with what it was made from, before its document is made.
pub(super) struct Drafted {
    plan: Plan,
    provenance: Provenance,
    /// As [`Planned`] has it, and so is all that follows.
    desired: ManuallyDrop<Desired>,
    observed: ManuallyDrop<Observed>,
    said: BTreeMap<VmId, Vec<IpAddr>>,
    hypervisor: Option<Arc<dyn Hypervisor>>,
    about: About,
    source: ManuallyDrop<Option<Source>>,
}

impl Drafted {
    /// The plan beside its document.
    fn documented(self) -> Planned {
        let Self { plan, provenance, desired, observed, said, hypervisor, about, source } = self;
        let document = PlanDocument::of(&plan, provenance);
        let names = desired.vms.iter().map(|vm| (vm.vm_id, vm.vm_name.clone())).collect();
        Planned { plan, document, names, desired, observed, said, hypervisor, about, source }
    }

    /// What the plan would do, call by call.
    pub(super) fn preview(&self) -> Result<Vec<Preview>, Failure> {
        preview(&self.plan, &self.observed)
    }

    /// The document in place of the plan: nothing is done with it but to show it, maybe only `to_people`.
    pub(super) fn shown(self, to_people: bool) -> Shown {
        let (document, problems) = PlanDocument::instead_of(self.plan, self.provenance, !to_people);
        Shown { document, problems, about: self.about, source: self.source }
    }
}

/// A plan with what it was made from.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// The same as people and programs read it.
    pub(super) document: PlanDocument,
    /// The declared VMs' names.
    pub(super) names: BTreeMap<VmId, String>,
    /// What the file says. Like what was observed, it is never taken apart piece by piece: the process ends soon
    /// enough.
    pub(super) desired: ManuallyDrop<Desired>,
    pub(super) observed: ManuallyDrop<Observed>,
    /// What the agents that were asked say of their guests' addresses.
    pub(super) said: BTreeMap<VmId, Vec<IpAddr>>,
    /// Where it would be done; `None`: it was made against a recording.
    pub(super) hypervisor: Option<Arc<dyn Hypervisor>>,
    pub(super) about: About,
    /// The text of the config.
    pub(super) source: ManuallyDrop<Option<Source>>,
}

impl Wish {
    /// What the config says, for the selected VMs.
    pub(super) fn new(args: &Args, selecting: &Selecting) -> Self {
        Self::asking(args, selecting, &args::Options::default())
    }

    /// What the config says, for the selected VMs, and what else is asked for.
    pub(super) fn asking(args: &Args, selecting: &Selecting, options: &args::Options) -> Self {
        let named = |words: &[String]| words.iter().map(|word| Selector::parse(word)).collect();
        let args::Options {
            restart,
            force_stop,
            delete_source,
            snapshot,
            ref rerun,
            verify_guest,
            prune,
            ref recreate,
            ref delete_unused,
            prune_many,
        } = *options;
        Self {
            config: args.config.clone(),
            plan_names_it: false,
            given: args.given(),
            target: args.named(),
            guests: args.guests,
            request: Request {
                selection: Selection { only: named(&selecting.only), exclude: named(&selecting.exclude) },
                restart,
                force_stop,
                delete_source,
                snapshot,
                rerun: rerun.clone(),
                verify_guest,
                allow_host_paths: Vec::new(),
                allow_host_options: Vec::new(),
                recreate: Vec::new(),
                delete_unused: Vec::new(),
                goal: Goal::Config { prune, prune_many },
                agreed: false,
            },
            about: Vec::new(),
            recreate: named(recreate),
            delete_unused: named(delete_unused),
            against: None,
            nodes: Agreed::new(),
            intent: Intent::Look,
        }
    }

    /// With this done instead of what the config says.
    pub(super) fn aiming(mut self, goal: Goal) -> Self {
        self.request.goal = goal;
        self
    }

    /// About these VMs.
    pub(super) fn about(mut self, vms: Vec<Selector>) -> Self {
        self.about = vms;
        self
    }

    /// For making VMs.
    pub(super) fn making(mut self) -> Self {
        self.intent = Intent::Make;
        self.with_secrets()
    }

    /// With the values of the secrets that the config names.
    pub(super) fn with_secrets(mut self) -> Self {
        self.given.needs_secrets = true;
        self
    }

    /// With what of the node VMs may have.
    pub(super) fn allowing(mut self, allowing: &Allowing) -> Self {
        self.request.allow_host_paths.clone_from(&allowing.allow_host_path);
        self.request.allow_host_options.clone_from(&allowing.allow_host_option);
        self
    }
}

/// A config, and what was seen of the target that it is for.
pub(super) struct Looked {
    pub(super) desired: Desired,
    /// Its text. Like what was observed, never taken apart.
    pub(super) source: ManuallyDrop<Option<Source>>,
    /// What a plan says of it.
    config: DocumentConfig,
    pub(super) target: DocumentTarget,
    /// `None`: it was a recording that was looked at.
    pub(super) hypervisor: Option<Arc<dyn Hypervisor>>,
    pub(super) observed: Observed,
}

/// What was looked at.
struct Look {
    target: DocumentTarget,
    hypervisor: Option<Arc<dyn Hypervisor>>,
    observed: Observed,
}

/// Looks at the target, or at a recording of it.
fn look(wish: &Wish, desired: &Desired, console: &Console) -> Result<Look> {
    if let Some(file) = &wish.against {
        let recording = observe::read(file)?;
        let Recording { target: name, label, simulated, observed_at, mut observed, .. } = recording;
        observed.homes = homes(desired, &observed, &wish.nodes);
        let target = DocumentTarget { name, label, simulated, observed_at, recorded: true, ..node(&observed) };
        return Ok(Look { target, hypervisor: None, observed });
    }
    let chosen = connect::target(&wish.config, wish.target.as_ref(), Some(desired))?;
    let Chosen { target, origin, .. } = &chosen;
    let hypervisor = connect::open(&chosen, Some(desired), wish.guests, wish.intent)
        .with_context(|| format!("cannot open {target}"))?;
    let look = || observe::observed(hypervisor.as_ref(), desired, &wish.nodes);
    let observed = match wish.intent {
        Intent::Make => arriving::arrived(&look, desired, &wish.request.selection, console),
        Intent::Look => look(),
    };
    let observed = observed.with_context(|| format!("cannot read target {target}"))?;
    let About { label, simulated } = hypervisor.about();
    let observed_at = jiff::Timestamp::now().to_string();
    let name = target.to_string();
    let origin = Some(*origin);
    let target = DocumentTarget { name, origin, label, simulated, observed_at, ..node(&observed) };
    Ok(Look { target, hypervisor: Some(hypervisor), observed })
}

/// What a target is, however it is reached.
fn node(observed: &Observed) -> DocumentTarget {
    let allowed = observed.nodes.values().flat_map(|node| node.allowed.host_paths.clone()).collect();
    let (node, identity) = (observed.here.clone(), observed.identity.clone());
    DocumentTarget { node, identity, allowed, ..DocumentTarget::default() }
}

/// What people read of a document's target.
pub(super) fn about(target: &DocumentTarget) -> About {
    let age = || format!(", as recorded {}", observe::age(&target.observed_at));
    let label = target.label.clone() + &target.recorded.then(age).unwrap_or_default();
    About { label, simulated: target.simulated }
}

/// Reads the config and looks at the target. `Err(exit)` inside: it has been told why there is nothing to see.
pub(super) fn looked(wish: &Wish, console: &Console) -> Result<Result<Looked, Exit>> {
    let mut config = load::load(&wish.config, &wish.given);
    if wish.plan_names_it && config.loaded.desired.is_none() {
        // A saved plan can name any file of this machine: nothing of one that is no config is shown.
        let name = load::name(&wish.config);
        let what = format!("`{name}`, the config that the plan names, is no config without errors; nothing was done");
        let hint = format!("`phoenix validate --config {}` lists what is wrong", word(&name));
        console.error(&Refusal::failed(what, hint));
        return Ok(Err(Exit::Config));
    }
    console.diagnostics(&config.loaded.diagnostics, config.source.as_ref());
    let Some(desired) = config.loaded.desired.take() else { return Ok(Err(Exit::Config)) };
    let request = &wish.request;
    // What is pruned is not declared: only the target knows whether an exclusion names no VM.
    if !request.goal.prunes() {
        Known::of_file(&desired).have(&request.selection)?;
    }
    runs_somewhere(&request.rerun, &desired)?;
    let Look { target, hypervisor, observed } = look(wish, &desired, console)?;
    let document = document(wish, &config, &desired);
    // What is freed at the end of the process need not be taken apart piece by piece before.
    let source = ManuallyDrop::new(config.source.take());
    std::mem::forget(config);
    Ok(Ok(Looked { desired, source, config: document, target, hypervisor, observed }))
}

/// Reads the config, looks at the target and plans, with the plan's document. `Err(exit)` inside: it has been told why
/// there is no plan.
pub(super) fn planned(wish: &Wish, console: &Console) -> Result<Result<Planned, Exit>> {
    Ok(drafted(wish, console)?.map(Drafted::documented))
}

/// Reads the config, looks at the target and plans. `Err(exit)` inside: it has been told why there is no plan.
pub(super) fn drafted(wish: &Wish, console: &Console) -> Result<Result<Drafted, Exit>> {
    let Looked { desired, source, config, target, hypervisor, mut observed } = match looked(wish, console)? {
        Ok(looked) => looked,
        Err(exit) => return Ok(Err(exit)),
    };
    let mut request = wish.request.clone();
    if let Some(vms) = request.goal.vms_mut().filter(|_| !wish.about.is_empty()) {
        *vms = Known::of_project(&desired, &observed).chosen(&wish.about, console)?;
    }
    if !wish.recreate.is_empty() {
        request.recreate = Known::of_project(&desired, &observed).named(&wish.recreate, "--recreate")?;
    }
    if !wish.delete_unused.is_empty() {
        request.delete_unused = Known::of_project(&desired, &observed).named(&wish.delete_unused, "--delete-unused")?;
    }
    if let Some(target) = &hypervisor {
        observe::sized(target.as_ref(), &desired, &mut observed, &request).context("cannot list unused volumes")?;
    }
    let request = &request;
    if request.verify_guest {
        let Some(target) = &hypervisor else {
            let hint = "leave `--verify-guest` out, or plan against the target itself";
            return Err(Refusal::usage("a recording has no guests to look into", hint));
        };
        let vms = to_verify(&desired, &observed, &request.selection);
        observed.guests = verify(target.guests(), &vms, &RealClock::start());
    }
    if request.goal.prunes() {
        Known::of_prune(&desired, &observed).have(&request.selection)?;
    }
    let mut said = BTreeMap::new();
    if let Some(target) = &hypervisor {
        observed.unnamed = observe::unnamed(target.as_ref(), &desired, &observed, request, console);
        observed.moves = observe::moves(target.as_ref(), &desired, &observed, request);
        let vms = to_ask(&desired, &observed, request);
        let asked = observe::asked(target.as_ref(), &vms, observe::EXPORTS, console);
        (observed.addresses, said) = (asked.lowest(), asked.said);
    }
    let plan = plan(&desired, &observed, request);
    if let Some(broken) = lint::lint(&plan, &observed).first() {
        return Err(anyhow!("the plan contradicts itself: {broken} (a bug in phoenix; nothing was done)"));
    }
    let mut about = about(&target);
    if observed.without_quorum.is_some() {
        about.label.push_str(", whose cluster has no quorum");
    }
    let provenance = Provenance { target, config, request: request.clone() };
    let (desired, observed) = (ManuallyDrop::new(desired), ManuallyDrop::new(observed));
    Ok(Ok(Drafted { plan, provenance, desired, observed, said, hypervisor, about, source }))
}

/// What a plan says of the config. Its digest is of everything that people write: its text and the scripts its VMs use.
fn document(wish: &Wish, config: &load::Config, desired: &Desired) -> DocumentConfig {
    let mut text = config.source.as_ref().map(|source| source.text.clone()).unwrap_or_default();
    for (name, script) in &desired.scripts.features {
        text.push_str(&format!("\0{name}\0{}", script.digest));
    }
    if let Some(common) = &desired.scripts.common {
        text.push_str(&format!("\0\0{}", common.digest));
    }
    let several = config.source.iter().filter(|source| !source.files.is_empty()).flat_map(Source::apart);
    DocumentConfig {
        path: load::name(&wish.config),
        digest: content_digest(text.as_bytes()),
        meaning: meaning(desired),
        files: several.map(|file| (file.name, content_digest(file.text.as_bytes()))).collect(),
    }
}

/// Features that no VM has are refused: a typing error must not turn into "nothing to do".
fn runs_somewhere(features: &[String], desired: &Desired) -> Result<()> {
    let known = || desired.vms.iter().flat_map(|vm| &vm.features).map(|feature| &*feature.name);
    let Some(unknown) = features.iter().find(|feature| !known().any(|known| known == **feature)) else { return Ok(()) };
    let hint = match crate::diag::nearest(unknown, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`--rerun` takes the name of a feature as it stands in the file".to_owned(),
    };
    Err(Refusal::usage(format!("no declared VM has the feature `{unknown}`"), hint))
}

impl Planned {
    /// The same without some VMs; nothing is read or looked at anew.
    pub(super) fn without(mut self, vms: &BTreeSet<VmId>) -> Self {
        self.plan = self.plan.without(vms);
        let PlanDocument { target, config, request, .. } = self.document;
        self.document = PlanDocument::of(&self.plan, Provenance { target, config, request });
        self
    }

    /// The VMIDs that its goal is about, as they are typed.
    pub(super) fn ids(&self) -> Vec<String> {
        let mut goal = self.document.request.goal.clone();
        goal.vms_mut().map(|vms| vms.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    /// Tells what the plan found, as [`tell_findings`] does.
    pub(super) fn tell_findings(&self, console: &Console) {
        tell_findings(&self.plan.problems, self.source.as_ref(), console);
    }

    /// The plan as people read it.
    pub(super) fn shown(&self, console: &Console) -> String {
        ui::plan::render(&self.document, &view(&self.document, &self.about, console))
    }
}
