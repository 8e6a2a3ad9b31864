export const connect = async () => ({ statusCode: 200 });
export const message = async () => ({ statusCode: 200 });
export const tick = async () => {};
