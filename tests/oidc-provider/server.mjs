// A certified OpenID provider (npm oidc-provider) under PingOne's paths, for the black-box tests.
//
//   node server.mjs PORT CLIENT_ID POSTING_CLIENT_ID CLIENT_SECRET ORIGIN...
//
// The issuer is http://127.0.0.1:PORT/ENVIRONMENT/as. Everybody is signed in at once, as
// `login_hint` or as ada; signing out asks nothing. It prints the issuer once it listens.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, clientId, postingClientId, clientSecret, ...origins] = process.argv.slice(2);
if (origins.length === 0) {
  console.error('usage: node server.mjs PORT CLIENT_ID POSTING_CLIENT_ID CLIENT_SECRET ORIGIN...');
  process.exit(2);
}

const mount = '/6f1f1d5c-1c8f-4d5e-9c5c-0a2f6f0b7a11/as';
const issuer = `http://127.0.0.1:${port}${mount}`;

const people = {
  ada: { name: 'Ada Lovelace', groups: ['staff', 'finance'] },
  grace: { name: 'Grace Hopper', groups: ['staff'] },
};

function claims(id) {
  const { name, groups } = people[id] ?? { name: id, groups: [] };
  return { sub: id, name, preferred_username: id, email: `${id}@example.com`, email_verified: true, groups };
}

const scope = 'openid profile email groups';
const provider = new Provider(issuer, {
  clients: [[clientId, 'client_secret_basic'], [postingClientId, 'client_secret_post']].map(([id, method]) => ({
    client_id: id,
    client_secret: clientSecret,
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: origins.map((origin) => `${origin}/.vestibule/callback`),
    post_logout_redirect_uris: origins.map((origin) => `${origin}/.vestibule/signed-out`),
    token_endpoint_auth_method: method,
    scope,
  })),
  scopes: scope.split(' '),
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
  },
  // PingOne puts the claims into the ID token, too.
  conformIdTokenClaims: false,
  routes: {
    authorization: '/authorize',
    token: '/token',
    jwks: '/jwks',
    userinfo: '/userinfo',
    end_session: '/signoff',
    introspection: '/introspect',
    revocation: '/revoke',
    pushed_authorization_request: '/par',
  },
  pkce: { required: () => true },
  cookies: { keys: ['a key of the tests'] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => claims(id) }),
  interactions: { url: (ctx, interaction) => `${mount}/interaction/${interaction.uid}` },
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    // Another one would take back the codes of the one before.
    const known = session.grantIdFor(client.clientId);
    if (known) return ctx.oidc.provider.Grant.find(known);
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(scope);
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // The usual page asks for a click. This one answers itself, in a form that any browser and
      // the tests' own can submit.
      logoutSource(ctx, form) {
        ctx.body = `<!doctype html><body onload="document.forms[0].submit()">${form.replace('</form>',
          '<input type="hidden" name="logout" value="yes"></form>')}</body>`;
      },
      postLogoutSuccessSource(ctx) {
        ctx.body = '<!doctype html><p>You are signed out.</p>';
      },
    },
  },
});

// Signs in at once instead of asking.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const login = { accountId: params.login_hint || 'ada' };
  const target = await provider.interactionResult(ctx.req, ctx.res, { login }, { mergeWithLastSubmission: false });
  ctx.redirect(target);
});
provider.on('server_error', (ctx, error) => console.error('server_error', error));

const handle = provider.callback();
const server = createServer((request, response) => {
  if (!request.url.startsWith(`${mount}/`)) {
    response.writeHead(404).end();
    return;
  }
  // How oidc-provider learns where it is mounted.
  request.originalUrl = request.url;
  request.url = request.url.slice(mount.length);
  handle(request, response);
});
server.listen(Number(port), '127.0.0.1', () => console.log(issuer));

// The tests hold our standard input open: when they are gone, so are we.
process.stdin.on('end', () => process.exit(0)).resume();
