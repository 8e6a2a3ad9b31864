// Lets ES modules find the packages of layers, those that were installed into a
// cache, and the SDK that Lambda brings, when the function's own folders don't
// have them.
let parents;

export async function initialize(data) {
  parents = data.parents;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (err) {
    if (!/^(?![./#]|[a-z]+:)/.test(specifier)) throw err;
    for (const parentURL of parents) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch (_) {} // the first error is the one to tell
    }
    throw err;
  }
}
