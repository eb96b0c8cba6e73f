/** What apt prints and reads, as text. Nothing here runs anything. */

export interface Package {
  name: string;
  version: string;
}

/** One row of `apt-get --print-uris download`. */
export interface Download {
  name: string;
  version: string;
  /** The name apt gives the file, such as `kmod_30+20221128-1_amd64.deb`. */
  file: string;
  bytes: number;
}

/**
 * Packages a simulated installation would unpack, new ones and upgrades alike, in its order. apt-get(8), `--simulate`:
 * `Inst NAME [OLD] (NEW ORIGIN [ARCH]) [...]`.
 */
export function parseSimulation(text: string): Package[] {
  const packages: Package[] = [];
  for (const [, name, version] of text.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /gm))
    packages.push({ name: name as string, version: version as string });
  return packages;
}

/** Rows of `apt-get --print-uris download`: `'URI' FILE BYTES HASH`; an epoch's colon is escaped in the file name. */
export function parseUris(text: string): Download[] {
  const downloads: Download[] = [];
  for (const [, file, bytes] of text.matchAll(/^'\S+' (\S+\.deb) (\d+)/gm)) {
    const [name, version] = (file as string).split('_');
    if (name !== undefined && version !== undefined)
      downloads.push({ name, version: decodeURIComponent(version), file: file as string, bytes: Number(bytes) });
  }
  return downloads;
}

/** What {@link chooseMirror} wants of `apt-get indextargets`: one target a line. */
export const TARGET_FORMAT = '$(CREATED_BY)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)';

/**
 * The mirror of Debian's main archive that this system uses, for a suite's codename; undefined when its sources name none.
 * ORIGIN comes from downloaded lists and may be missing on a fresh image; then the archive's usual path decides.
 */
export function chooseMirror(targets: string, codename: string): string | undefined {
  let likely: string | undefined;
  for (const line of targets.split('\n')) {
    const [by, site = '', release, component, origin] = line.split('|');
    if (by !== 'Packages' || release !== codename || component !== 'main') continue;
    if (origin === 'Debian') return site;
    if (/\/debian\/?$/.test(site)) likely ??= site;
  }
  return likely;
}

/** Fields of os-release(5). */
export function parseOsRelease(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [, key, value] of text.matchAll(/^([A-Z0-9_]+)=(.*)$/gm))
    fields.set(key as string, (value as string).replace(/^(["'])(.*)\1$/, '$2'));
  return fields;
}

/**
 * An apt configuration with lists, cache and sources of its own. It is read last (`-c`), so the system's proxy and credentials
 * stay in force while hooks that would touch the system do not.
 */
export function privateConfiguration(folder: string): string {
  return [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    '#clear DPkg::Pre-Invoke;',
    '#clear DPkg::Post-Invoke;',
    `Dir::Etc::sourcelist "${folder}/sources.list";`,
    'Dir::Etc::sourceparts "/nonexistent";',
    'Dir::Etc::preferences "/nonexistent";',
    'Dir::Etc::preferencesparts "/nonexistent";',
    'APT::Default-Release "";',
    `Dir::State::lists "${folder}/lists";`,
    `Dir::Cache "${folder}/cache";`,
    'APT::Sandbox::User "root";',
    'APT::Update::Error-Mode "any";',
    'Acquire::Retries "1";',
    'Acquire::http::Timeout "20";',
    'Acquire::https::Timeout "20";',
    'Acquire::Languages "none";',
    '',
  ].join('\n');
}

/** One-line sources for these suites of a mirror. */
export function sources(mirror: string, suites: readonly string[], keyring: string | undefined): string {
  const signed = keyring === undefined ? '' : `[signed-by=${keyring}] `;
  return suites.map((suite) => `deb ${signed}${mirror} ${suite} main\n`).join('');
}

/** Bytes for people: `9.1 MB`. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
