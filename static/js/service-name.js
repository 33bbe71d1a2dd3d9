// The operator's name for this service, which every page carries in its head.

export const serviceName = document.querySelector('meta[name="application-name"]')?.content ?? "Sessile";
