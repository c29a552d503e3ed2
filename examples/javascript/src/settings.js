// What an operator gives, read and looked at.

export const names = { url: 'url', timeout: 'timeout-seconds', token: 'token' };

/** The settings as the session uses them, and what is wrong with them. */
export function content(settings) {
  const given = new Map(settings);
  const problems = [];
  const problem = (message) => problems.push({ parameter: names.url, message });
  let url;
  try {
    url = new URL(given.get(names.url));
    if (url.username || url.password) {
      problem('holds credentials: have the host add them, with `credentials` of the grant');
    }
  } catch {
    problem('is no URL');
  }
  return { url, milliseconds: Number(given.get(names.timeout)) * 1000, token: given.get(names.token), problems };
}
