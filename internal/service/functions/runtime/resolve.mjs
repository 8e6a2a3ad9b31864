// Lets ES modules find the SDK that Lambda brings, when the function's own
// folders don't have it.
let parent;

export async function initialize(data) {
  parent = data.parent;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (err) {
    if (!/^(aws-sdk|@aws-sdk|@smithy)(\/|$)/.test(specifier)) throw err;
    try {
      return await next(specifier, { ...context, parentURL: parent });
    } catch (_) {
      throw err;
    }
  }
}
