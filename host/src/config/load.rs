//! From a file to the checked types.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use super::{
    at::At,
    component::Component,
    de::from_node,
    defaults,
    destination::{Destination, Shape},
    digest::Digest,
    environment::{Environment, OwnEnvironment, take},
    error::{ConfigError, Place},
    explain::{Keys, Rows},
    fault::list,
    file::{File, VERSION},
    grants::{Access, Grants, HeaderFrom, HttpGrant},
    interpolate::interpolate,
    mistakes::Mistakes,
    nearest::nearest,
    node::{Node, Value},
    pipeline::Pipeline,
    processor::Processor,
    source::{DeadLettersOf, Source},
    tokens::{SecretFrom, TokenProvider},
    yaml,
};
use crate::given_file;

/// The largest file that is read, in bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// A variable of this process's environment. One that is not Unicode counts as not set.
pub fn environment(name: &str) -> Option<String> {
    OwnEnvironment.get(name)
}

/// Reads the pipeline file at `path`, with its relative paths made absolute from the folder that it is in.
///
/// `env` tells the variables that `${VAR}` stands for, and those that set something of a destination: [`OwnEnvironment`] for those of this process.
///
/// # Errors
///
/// Where there is no such file, where it is no regular file, larger than 1 MiB or not UTF-8, and for all that [`parse_under`] refuses.
pub fn load(path: &Path, env: &dyn Environment) -> Result<File, Mistakes> {
    let name = path.display().to_string();
    let unread = |error: io::Error| unread(path, &error, "pipeline file");
    let bytes = given_file::read(path, LARGEST).map_err(unread)?;
    let text = decode(&bytes, &name)?;
    let whole = path::absolute(path).map_err(unread)?;
    parse_under(text, &name, whole.parent().unwrap_or(&whole), env)
}

/// Reads the text of a pipeline file called `name`, with relative paths resolved against `folder`.
///
/// ```
/// use std::path::Path;
///
/// let text = "
/// version: 1
/// pipelines:
///   - id: demo
///     source: { kind: generator, count: 10 }
///     destinations:
///       - { id: nowhere, component: null.wasm, settings: { token: '${TOKEN}' } }
/// ";
/// let env = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
/// let file = wharf::config::parse(text, "demo.yaml", Path::new("/etc/wharf"), &env)?;
/// let destination = &file.pipelines[0].destinations[0];
/// assert_eq!(*destination.component.value, *Path::new("/etc/wharf/null.wasm"));
/// assert_eq!(destination.settings.get("token").map(|token| token.value()), Some("secret"));
/// # Ok::<(), wharf::config::Mistakes>(())
/// ```
///
/// # Errors
///
/// Where the text is not YAML within bounds, a variable is not set, a key is unknown, missing or has a wrong value, or an id
/// stands twice.
pub fn parse(text: &str, name: &str, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<File, Mistakes> {
    parse_under(text, name, folder, &env)
}

/// The same with an environment whose variables can be listed: those that set something of a destination count, too.
///
/// # Errors
///
/// As [`parse`], and where such a variable names no destination, or could be meant for several.
pub fn parse_under(text: &str, name: &str, folder: &Path, env: &dyn Environment) -> Result<File, Mistakes> {
    let name: Arc<str> = name.into();
    let mut tree = yaml::read(text, &name)?;
    let mut wrong = Vec::new();
    interpolate(&mut tree, &|name| env.get(name), &mut wrong)?;
    version(&tree)?;
    let told: HashSet<Place> = wrong.iter().filter_map(|error| error.place().cloned()).collect();
    let given = defaults::apply(&mut tree, &mut wrong);
    let read = from_node::<File>(&tree, &told).map_err(|mistakes| wrong.extend(mistakes));
    let Ok(mut file) = read else {
        // There is something.
        return Mistakes::of(wrong).and_then(|()| Err(ConfigError::new(format!("{name} cannot be read")).into()));
    };
    file.given = given;
    file.key_file = env.get("WHARF_KEY_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    digests(&mut file, &tree);
    check(&file, &mut wrong);
    take(&mut file, env, &mut wrong);
    Mistakes::of(wrong)?;
    resolve(&mut file, folder);
    Ok(file)
}

/// What is compared where the file is read again, and what is told of where it came from.
fn digests(file: &mut File, tree: &Node) {
    file.tokens_digest = tree.get("tokens").map(Digest::of).unwrap_or_default();
    file.keys = Keys::of(tree);
    file.rows = Rows::of(tree, &["pipelines", "tokens", "defaults", "version"]);
    if let Some(Node { value: Value::List(pipelines), .. }) = tree.get("pipelines") {
        for (pipeline, node) in file.pipelines.iter_mut().zip(pipelines) {
            pipeline.value.digest = Digest::of(node);
            pipeline.value.rows = Rows::of(node, &["id", "processors", "destinations"]);
            keys_of(&mut pipeline.value.processors, node);
            if let Some(Node { value: Value::List(destinations), .. }) = node.get("destinations") {
                for (destination, node) in pipeline.value.destinations.iter_mut().zip(destinations) {
                    destination.value.rows = Rows::of(node, &["id", "settings", "processors"]);
                    destination.value.keys = Keys::of(node);
                    keys_of(&mut destination.value.processors, node);
                }
            }
        }
    }
}

/// Where the keys of processors stand that are listed in a block.
fn keys_of(processors: &mut [At<Processor>], node: &Node) {
    if let Some(Node { value: Value::List(nodes), .. }) = node.get("processors") {
        for (processor, node) in processors.iter_mut().zip(nodes) {
            processor.value.keys = Keys::of(node);
        }
    }
}

/// Why a file was not read; `noun` is what it should be.
pub(super) fn unread(path: &Path, error: &io::Error, noun: &str) -> ConfigError {
    let name = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            ConfigError::new(format!("there is no file `{name}`")).with_hint(format!("correct the path of the {noun}"))
        }
        io::ErrorKind::PermissionDenied => ConfigError::new(format!("`{name}` may not be read by this user")),
        io::ErrorKind::IsADirectory => {
            ConfigError::new(format!("`{name}` is a directory")).with_hint(format!("name the {noun} in it"))
        }
        io::ErrorKind::FileTooLarge => {
            ConfigError::new(format!("`{name}` is larger than 1MiB")).with_hint(format!("is it a {noun}?"))
        }
        io::ErrorKind::InvalidInput => {
            ConfigError::new(format!("cannot read `{name}`: {error}")).with_hint(format!("name the {noun} itself"))
        }
        _ => ConfigError::new(format!("cannot read `{name}`: {error}")),
    }
}

/// The bytes as text.
pub(super) fn decode<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, ConfigError> {
    str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = number(good.matches('\n').count() + 1);
        let column = number(good.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
        ConfigError::new("the file is not UTF-8").with_hint("save it as UTF-8").with_place(Place {
            file: name.into(),
            line,
            column,
        })
    })
}

/// The version comes before all else: a file of another version is not to be judged by this one's keys.
fn version(tree: &Node) -> Result<(), ConfigError> {
    let Some(node) = tree.get("version") else {
        return Ok(());
    };
    match node.scalar().map(|scalar| scalar.text.parse::<u32>()) {
        Some(Ok(version)) if version != VERSION => {
            Err(ConfigError::new(format!("the version {} is not known", node.described()))
                .with_hint(format!("this host reads version {VERSION}"))
                .with_place(node.place.clone()))
        }
        _ => Ok(()),
    }
}

/// What no single key can tell.
fn check(file: &File, wrong: &mut Vec<ConfigError>) {
    let instances = file.process.instances as usize;
    let mut components: Vec<Component<'_>> = file.pipelines.iter().flat_map(|pipeline| pipeline.components()).collect();
    // As errors count them.
    components.sort_by_key(|component| component.noun);
    if let Some(Component { place, .. }) = components.get(instances) {
        let count = components.len();
        let each = match components.iter().filter(|component| component.noun == "processor").count() {
            0 => format!("each of {count} destinations"),
            processors => format!("each of {} destinations and {processors} processors", count - processors),
        };
        wrong.push(
            ConfigError::new(format!("`process.instances` is {instances}, and {each} needs one"))
                .with_hint(format!("set it to {count} at the least"))
                .with_place((*place).clone()),
        );
    }
    unique("pipeline", file.pipelines.iter().map(|pipeline| (pipeline.id.as_str(), &pipeline.id.place)), wrong);
    unique("token provider", file.tokens.iter().map(|provider| (provider.id.as_str(), &provider.id.place)), wrong);
    for At { value: provider, place } in &file.tokens {
        if let Some((what, hint)) = provider.fault() {
            wrong.push(ConfigError::new(what).with_hint(hint).with_place(place.clone()));
        }
    }
    let mut stdin = file.pipelines.iter().filter(|pipeline| matches!(pipeline.source.value, Source::Stdin(_)));
    if let (Some(first), Some(second)) = (stdin.next(), stdin.next()) {
        wrong.push(
            ConfigError::new(format!("the pipeline `{}` reads standard input, and so does `{}`", second.id, first.id))
                .with_hint("there is one, and each line of it would reach one of the two: give one pipeline both destinations")
                .with_place(second.source.place.clone()),
        );
    }
    file.pipelines.iter().for_each(|pipeline| check_pipeline(pipeline, file, wrong));
}

/// What no single key of a pipeline can tell.
fn check_pipeline(pipeline: &Pipeline, file: &File, wrong: &mut Vec<ConfigError>) {
    let again = match &pipeline.source.value {
        Source::Stdin(_) => Some(("stdin", "standard input cannot be read again; leave `exact-batches` out, or read a file")),
        Source::DeadLetters(_) => {
            Some(("dead-letters", "dead letters may be removed before they are read again; leave `exact-batches` out"))
        }
        Source::File(_) | Source::Generator(_) => None,
    };
    if let (Some(exact), Some((kind, hint))) = (&pipeline.exact_batches, again)
        && exact.value
    {
        wrong.push(
            ConfigError::new(format!("`exact-batches` with `kind: {kind}`")).with_hint(hint).with_place(exact.place.clone()),
        );
    }
    wrong.extend(letters_of(pipeline, &file.pipelines).err());
    if let Some(first) =
        pipeline.destinations.first().filter(|_| pipeline.destinations.iter().all(|of| !of.enabled && !of.removed))
    {
        wrong.push(
            ConfigError::new(format!("all destinations of the pipeline `{}` are switched off", pipeline.id))
                .with_hint("leave `enabled: false` out for one of them, or take the pipeline out of the file")
                .with_place(first.id.place.clone()),
        );
    }
    unique(
        "destination",
        pipeline.destinations.iter().map(|destination| (destination.id.as_str(), &destination.id.place)),
        wrong,
    );
    unique("processor", pipeline.all_processors().map(|processor| (processor.id.as_str(), &processor.id.place)), wrong);
    if let Some(At { place, .. }) = pipeline.restart.as_ref().filter(|restart| restart.retry().is_some())
        && matches!(pipeline.source.value, Source::Stdin(_))
    {
        wrong.push(
            ConfigError::new(format!("the pipeline `{}` cannot be started again: its source is standard input", pipeline.id))
                .with_hint("leave `restart` out: what was read from standard input cannot be read again")
                .with_place(place.clone()),
        );
    }
    for processor in pipeline.all_processors() {
        let id = &processor.id;
        if pipeline.destinations.iter().any(|destination| destination.id.value == id.value) {
            wrong.push(
                ConfigError::new(format!("the processor `{id}` has the name of a destination"))
                    .with_hint("give each a name of its own: state is kept under it")
                    .with_place(id.place.clone()),
            );
        }
    }
    for Component { noun, id, grants, .. } in pipeline.components() {
        granted(&format!("{noun} {id}"), grants, &file.tokens, wrong);
    }
    wrong.extend(pipeline.destinations.iter().filter_map(|destination| shaped(destination).err()));
}

/// Whether the pipeline whose dead letters one reads is there, and does not read those of this one in the end.
fn letters_of(pipeline: &Pipeline, all: &[At<Pipeline>]) -> Result<(), ConfigError> {
    let Source::DeadLetters(DeadLettersOf { of }) = &pipeline.source.value else { return Ok(()) };
    let own = pipeline.id.as_str();
    let named = |id: &str| all.iter().find(|other| other.id.as_str() == id);
    if named(of.as_str()).is_none() {
        let near = nearest(of.as_str(), all.iter().map(|other| other.id.as_str()).filter(|id| *id != own));
        let hint = near.map_or_else(|| "name another pipeline of this file".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(ConfigError::new(format!("there is no pipeline `{of}`")).with_hint(hint).with_place(of.place.clone()));
    }
    let mut at = of.as_str();
    // Nobody is further away than there are pipelines.
    for _ in all {
        if at == own {
            return Err(ConfigError::new(format!("the pipeline `{own}` would read its own dead letters"))
                .with_hint("read those of a pipeline that reads something else")
                .with_place(of.place.clone()));
        }
        match named(at).map(|other| &other.source.value) {
            Some(Source::DeadLetters(next)) => at = next.of.as_str(),
            _ => break,
        }
    }
    Ok(())
}

/// What no single key of some grants can tell. `whose` is as errors name it.
fn granted(whose: &str, grants: &Grants, providers: &[At<TokenProvider>], wrong: &mut Vec<ConfigError>) {
    distinct(grants, wrong);
    let known = |provider: &str, place| known(provider, place, whose, providers);
    wrong.extend(grants.tokens.iter().filter_map(|provider| known(provider, &provider.place).err()));
    for header in grants.http.iter().flat_map(|grant| &grant.headers) {
        if let HeaderFrom::Token(provider) = &header.value.value {
            wrong.extend(known(provider, &header.place).err());
        }
    }
}

/// What no single key of some grants can tell, whoever hands out tokens.
pub(super) fn distinct(grants: &Grants, wrong: &mut Vec<ConfigError>) {
    let directories = &grants.directories;
    unique("directory of the guest", directories.iter().map(|grant| (grant.guest.as_str(), &grant.place)), wrong);
    let tcp: Vec<_> = grants.tcp.iter().map(|grant| (grant.to.to_string(), &grant.place)).collect();
    unique("TCP grant", tcp.iter().map(|(to, place)| (to.as_str(), *place)), wrong);
    for grant in directories.iter().filter(|grant| grant.quota.is_some() && grant.access == Access::ReadOnly) {
        wrong.push(
            ConfigError::new(format!("`quota` bounds what is written, and `{}` is only read", grant.guest))
                .with_hint("leave it out, or grant `access: read-write`")
                .with_place(grant.place.clone()),
        );
    }
    let http = grants.http.iter().map(|grant| (grant.to.to_string(), &grant.place)).collect::<Vec<_>>();
    unique("HTTP grant", http.iter().map(|(to, place)| (to.as_str(), *place)), wrong);
    unique("grant of tokens of", grants.tokens.iter().map(|provider| (provider.as_str(), &provider.place)), wrong);
}

fn unique<'a>(noun: &str, names: impl Iterator<Item = (&'a str, &'a Place)>, wrong: &mut Vec<ConfigError>) {
    let mut lines: HashMap<&str, u32> = HashMap::new();
    for (name, place) in names {
        if let Some(line) = lines.get(name) {
            wrong.push(
                ConfigError::new(format!("the {noun} `{name}` stands here again, first on line {line}"))
                    .with_hint("give each a name of its own")
                    .with_place(place.clone()),
            );
        } else {
            lines.insert(name, place.line);
        }
    }
}

/// A template where one is needed, and nowhere else.
fn shaped(destination: &Destination) -> Result<(), ConfigError> {
    let Destination { format, template, .. } = destination;
    let wanted = format.as_ref().filter(|format| format.value == Shape::Template);
    let (what, hint, place) = match (wanted, template) {
        (Some(format), None) => (
            "`format: template` without a `template`",
            "add `template`, the text that a record becomes, such as `\"{{ /user/id }}\"`",
            &format.place,
        ),
        (None, Some(template)) => {
            ("`template` without `format: template`", "add `format: template`, or leave `template` out", &template.place)
        }
        _ => return Ok(()),
    };
    Err(ConfigError::new(what).with_hint(hint).with_place(place.clone()))
}

/// Whether a provider that is named stands in the file.
fn known(named: &str, place: &Place, whose: &str, providers: &[At<TokenProvider>]) -> Result<(), ConfigError> {
    let ids = || providers.iter().map(|provider| provider.id.as_str());
    if ids().any(|id| id == named) {
        return Ok(());
    }
    let hint = match nearest(named, ids()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if providers.is_empty() => "describe it under `tokens:` at the top of the file".to_owned(),
        None => format!("there are {}", list(&ids().collect::<Vec<_>>(), "and")),
    };
    let what = format!("{whose}: there is no token provider `{named}`");
    Err(ConfigError::new(what).with_hint(hint).with_place(place.clone()))
}

/// Makes paths count from the folder of the file.
fn resolve(file: &mut File, folder: &Path) {
    file.folder = folder.to_owned();
    if let Some(data_dir) = &mut file.data_dir {
        *data_dir = folder.join(&data_dir);
    }
    for At { value: TokenProvider { client_secret, refresh_token, roots, .. }, .. } in &mut file.tokens {
        for secret in [client_secret, refresh_token].into_iter().flatten() {
            if let SecretFrom::File(file) = &mut secret.value {
                *file = folder.join(&file);
            }
        }
        if let Some(roots) = roots {
            *roots = folder.join(&roots);
        }
    }
    for At { value: pipeline, .. } in &mut file.pipelines {
        let Pipeline { source, processors, destinations, dead_letters, .. } = pipeline;
        if let Some(copy) = &mut dead_letters.copy_to {
            copy.value = folder.join(&copy.value);
        }
        if let Source::File(source) = &mut source.value {
            source.path.value.resolve(folder);
        }
        resolve_all(processors, folder);
        for At { value: Destination { component, grants, processors, .. }, .. } in destinations {
            component.value = folder.join(&component.value);
            resolve_grants(grants, folder);
            resolve_all(processors, folder);
        }
    }
}

fn resolve_all(processors: &mut [At<Processor>], folder: &Path) {
    for At { value: Processor { component, grants, .. }, .. } in processors {
        component.value = folder.join(&component.value);
        resolve_grants(grants, folder);
    }
}

pub(super) fn resolve_grants(grants: &mut Grants, folder: &Path) {
    for grant in &mut grants.directories {
        grant.value.host = folder.join(&grant.value.host);
    }
    for At { value: HttpGrant { headers, roots, .. }, .. } in &mut grants.http {
        for header in headers {
            if let HeaderFrom::File(path) = &mut header.value.value {
                *path = folder.join(&path);
            }
        }
        if let Some(roots) = roots {
            *roots = folder.join(&roots);
        }
    }
}
