// The service that both sides know: messages are bytes, so nothing is generated from a .proto.

const bytes = (value) => value;

const method = (service, name, requestStream, responseStream) => ({
  path: `/${service}/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

/** The same methods under this name. */
export const probe = (service) => ({
  echo: method(service, 'Echo', false, false),
  fail: method(service, 'Fail', false, false),
  hang: method(service, 'Hang', false, false),
  cancelled: method(service, 'Cancelled', false, false),
  count: method(service, 'Count', false, true),
  collect: method(service, 'Collect', true, false),
  chat: method(service, 'Chat', true, true),
});
