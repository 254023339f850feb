const npmNetworkCodes =
  /\b(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|E401|E403|E407|E502|E503|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_HAS_EXPIRED)\b/;

const pipNetworkWords =
  /(connection refused|NewConnectionError|ConnectTimeout|ReadTimeout|Max retries exceeded|failed to establish a new connection|name or service not known|temporary failure in name resolution|nodename nor servname|getaddrinfo failed|network is unreachable|connection reset|certificate verify failed|could not fetch URL|proxy error|Cannot connect to proxy|40[137] Client Error|50[234] Server Error)/i;

/**
 * The network's own word for why npm failed (for example "ECONNREFUSED"), or undefined when the network was not it.
 *
 * @param {string} output what npm printed
 */
export function npmNetworkFailure(output) {
  return output.match(npmNetworkCodes)?.[1];
}

/**
 * The network's own word for why pip failed, or undefined when the network was not it.
 *
 * @param {string} output what pip printed
 */
export function pipNetworkFailure(output) {
  return output.match(pipNetworkWords)?.[1];
}

/**
 * The host that pip last tried in vain, from its output; undefined when pip did not name one.
 *
 * @param {string} output what pip printed
 */
export function pipUnreachableHost(output) {
  const pool = output.match(/HTTPS?ConnectionPool\(host='([^']+)', port=(\d+)\)/);
  if (pool) {
    return `${pool[1]}:${pool[2]}`;
  }
  const connection = output.match(/HTTPS?Connection\(host='([^']+)', port=(\d+)\)/);
  return connection ? `${connection[1]}:${connection[2]}` : undefined;
}

/**
 * An address without a name or a password, fit for a message or a log.
 *
 * @param {string} address
 */
export function withoutCredentials(address) {
  return address.replace(/\/\/[^/@\s]+@/g, "//");
}
